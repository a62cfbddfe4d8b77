"""Run an experiment: cluster, ask, learn, report.

    python launch.py --config=configs/digits.py
    python launch.py --config=configs/features.py --config.data.path=FILE.npz
    python launch.py --config=configs/digits.py --config.annotator.kind=page
    python launch.py --config=configs/digits.py --sweep=budget=10,20,50 --sweep=seed=0,1,2

Where the package is installed, ``idc-jax run`` does the same anywhere, and the configs that come
with it go by their names alone: ``idc-jax run --config=digits``.

Every option of a config can be set as --config.NAME=VALUE; --options lists them with their values.
The same command in the same --workdir goes on where it was stopped.

--sweep=NAME=A,B,C runs the config once for each value, and again for further options: all
combinations, each in a folder of its own, with a table over the seeds (sweep.md, sweep.csv) and
plots. A point that fails does not stop the others; then the exit code is 1.

One run by several processes, each with its own devices: the same command once for each, with
--coordinator=HOST:PORT --processes=N --process=I, or with --coordinator=auto where SLURM, a TPU
pod or Kubernetes starts them. Process 0 asks, writes and reports, and it alone needs --workdir.
"""

import contextlib
import io
import os
import re
import sys
import textwrap
import traceback
from collections.abc import Sequence
from pathlib import Path

import jax
from absl import flags, logging
from ml_collections import ConfigDict, config_flags

from idc_jax import hosts
from idc_jax.data import default_cache_dir
from idc_jax.errors import UserError, of_the_system, show_anything
from idc_jax.train.parallel import all_devices

_CONFIG = config_flags.DEFINE_config_file(
    "config",
    None,
    "What to run: configs/NAME.py, with a method behind a colon if it is not the config's own.",
)
_WORKDIR = flags.DEFINE_string(
    "workdir", "", "Where the run leaves everything; runs/NAME if empty."
)
_OPTIONS = flags.DEFINE_bool("options", False, "List the options of --config and stop.")
_SWEEP = flags.DEFINE_multi_string(
    "sweep", [], "Options to sweep: NAME=A,B,C; runs every combination, and resumes."
)
_COORDINATOR = flags.DEFINE_string(
    "coordinator",
    "",
    "Where several processes meet: HOST:PORT of process 0, or auto under SLURM and its like.",
)
_PROCESSES = flags.DEFINE_integer("processes", hosts.UNSAID, "How many processes there are.")
_PROCESS = flags.DEFINE_integer("process", hosts.UNSAID, "Which of them this is, from 0.")
_MEETING = flags.DEFINE_float("meeting", 300.0, "Seconds that they wait for each other.")
_HELP = flags.DEFINE_bool("usage", False, "Show this text and stop.")


def main(argv: Sequence[str]) -> int:
    """Run what ``argv`` asks for; 0 when done, 2 where the user has to change something.

    1 says that some points of a sweep failed.
    """
    show_anything()
    try:
        return _main(argv)
    except UserError as error:
        return hosts.fail(f"error: {error}", 2)
    except OSError as error:
        return hosts.fail(f"error: {of_the_system(error)}", 2)
    except KeyboardInterrupt:
        return hosts.fail("stopped; the same command goes on from here", 130)
    except Exception as error:
        hosts.fail_by(error)


def _main(argv: Sequence[str]) -> int:
    if any(arg in ("--help", "-h", "-help", "--usage") for arg in argv[1:]):
        listed = flags.FLAGS.module_help(sys.modules[__name__])
        print(f"{__doc__}\n{_methods()}\n{_selectors()}\nflags:\n{listed}")
        return 0
    _parse(argv)
    config = _config()
    if _OPTIONS.value:
        print(config)
        return 0
    _meet(config)
    all_devices()
    _keep_compiled()
    logging.set_verbosity(logging.WARNING)
    logging.use_absl_handler()
    if _SWEEP.value:
        from idc_jax.sweeps.sweep import run_sweep

        return run_sweep(config, _SWEEP.value, _workdir(config))
    from idc_jax.runs.compose import follow_experiment, run_experiment

    if not hosts.leads():
        follow_experiment(config)
    else:
        print(f"report: {run_experiment(config, _workdir(config)).resolve()}")
    hosts.leave()
    return 0


def _meet(config: ConfigDict) -> None:
    """Come together with the other processes, where there are any."""
    given = {"--processes": _PROCESSES, "--process": _PROCESS}
    if not _COORDINATOR.value:
        for name, flag in given.items():
            if flag.value != hosts.UNSAID:
                raise UserError(f"{name} needs --coordinator=HOST:PORT, where the processes meet")
        return
    if _SWEEP.value:
        raise UserError("--sweep runs in one process; --coordinator is for a single run")
    from idc_jax.runs.workdir import agreed_on

    meeting = hosts.Meeting(_COORDINATOR.value, _PROCESSES.value, _PROCESS.value, _MEETING.value)
    hosts.meet(meeting, agreed_on(config.to_dict()))


def shipped() -> dict[str, Path]:
    """The configs that come with the package, by name."""
    package = Path(__file__).parent
    # Installed, they lie in the package; in a clone, beside it.
    folder = next(f for f in (package / "configs", package.parent / "configs") if f.is_dir())
    return {path.stem: path for path in sorted(folder.glob("[!_]*.py"))}


def _methods() -> str:
    """What may stand behind the colon of ``--config``."""
    from idc_jax.methods import registry
    from idc_jax.runs import configuration

    width = max(map(len, registry.names()))
    lines = [f"  :{spec.name:{width}}  {spec.summary}" for spec in registry.specs()]
    recipes = [f":{name}" for name in configuration.names() if name not in registry.names()]
    return "\n".join(
        [
            "--config=configs/NAME.py:METHOD takes another method than the config's own:",
            *lines,
            f"or a recipe, all that a paper or its code says: {', '.join(recipes)}",
            "",
        ]
    )


def _selectors() -> str:
    """Who may choose the samples in the method's place."""
    from idc_jax import selectors

    listed = ", ".join(selectors.names("samples"))
    lines = textwrap.wrap(listed, initial_indent="  ", subsequent_indent="  ")
    told = "--config.selector=NAME lets another than the method choose the samples asked about:"
    return "\n".join([told, *lines, ""])


def _workdir(config: ConfigDict) -> Path:
    """Where the run goes: as given, else by the names of the config and of what is swept."""
    if _WORKDIR.value or config.workdir:
        return Path(_WORKDIR.value or config.workdir).expanduser()
    from idc_jax.runs import configuration

    file, _, named = flags.FLAGS["config"].config_filename.partition(":")  # type: ignore[attr-defined]
    parts = [Path(file).stem]
    # The method that configs start from goes without saying.
    if named or config.method != configuration.get_config().method:
        parts.append(named or config.method)
    if _SWEEP.value:
        parts += ["sweep", *(text.partition("=")[0] for text in _SWEEP.value)]
    return Path("runs") / "_".join(parts)


def _config() -> ConfigDict:
    """The parsed config; a file that is not there or no config becomes one line."""
    from idc_jax.runs import configuration

    path = Path(flags.FLAGS["config"].config_filename.split(":")[0])  # type: ignore[attr-defined]
    if not path.is_file():
        known = ", ".join(shipped())
        raise UserError(f"--config={path}: no such file; give a path or one of {known}")
    try:
        # The flag keeps an error to itself until the value is first looked into.
        config = _CONFIG.value
        if not isinstance(config, ConfigDict):
            raise UserError(f"--config={path} returns {config!r}; it must return a ConfigDict")
    except OSError as error:
        raise UserError(f"--config={path} cannot be read: {_one_line(error)}") from error
    configuration.check_options(config, f"--config={path}")
    return config


def _keep_compiled() -> None:
    """Keep compiled programs between runs, unless the environment says where or whether."""
    if not {"JAX_COMPILATION_CACHE_DIR", "JAX_ENABLE_COMPILATION_CACHE"} & os.environ.keys():
        jax.config.update("jax_compilation_cache_dir", str(default_cache_dir() / "compiled"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def _found(arg: str) -> str:
    """The argument ``--config=NAME``, with its path where the name is that of a shipped config."""
    flag, given, value = arg.partition("=")
    name, colon, method = value.partition(":")
    if flag not in ("--config", "-config") or not given or Path(name).is_file():
        return arg
    return f"{flag}={shipped().get(name, name)}{colon}{method}"


def _parse(argv: Sequence[str]) -> None:
    """Parse the flags; what is wrong with them becomes one line."""
    argv = [_found(arg) for arg in argv]
    path = _config_file(argv)
    if path is None:
        raise UserError("no --config given; --config=configs/digits.py is a good first one")
    try:
        # Flags of other libraries complain on stderr as well.
        with contextlib.redirect_stderr(io.StringIO()):
            rest = flags.FLAGS(argv)
    except Exception as error:  # A config may raise whatever it likes.
        raise _refusal(error, path, argv) from error
    if len(rest) > 1:
        raise UserError(
            f"unexpected {' '.join(rest[1:])!r}; options are given as --config.NAME=VALUE"
        )


def _config_file(argv: Sequence[str]) -> Path | None:
    """The config's file; None where none is given."""
    for at, argument in enumerate(argv[1:], 1):
        name, equals, value = argument.partition("=")
        if name in ("--config", "-config"):
            value = value if equals else "".join(argv[at + 1 : at + 2])
            return Path(value.partition(":")[0])
    return None


def _refusal(error: Exception, path: Path, argv: Sequence[str]) -> UserError:
    """What is wrong with a flag, or with the config in ``path`` and where.

    The flags wrap what a config raises in errors of theirs; the innermost says it.
    """
    told = _no_option(error, argv) or _one_line(error)
    if isinstance(error, OSError | ImportError):
        told = f"--config cannot be read: {told}"
    inner: BaseException | None = error
    while inner is not None:
        frames = traceback.extract_tb(inner.__traceback__)
        lines = [frame.lineno for frame in frames if Path(frame.filename).name == path.name]
        if isinstance(inner, UserError):
            told = str(inner)
        elif isinstance(inner, SyntaxError):
            told = f"--config={path}, line {inner.lineno or 1}: {inner.msg}"
        elif lines:
            told = f"--config={path}, line {lines[-1]}: {type(inner).__name__}: {_one_line(inner)}"
        inner = inner.__cause__ or inner.__context__
    return UserError(told)


def _no_option(error: Exception, argv: Sequence[str]) -> str:
    """Which of the flags ``argv`` is not an option, if that is what the ``error`` is about."""
    if not isinstance(error, KeyError | AttributeError):
        return ""
    quoted = re.findall(r"""["']?(\w+)["']?""", _one_line(error))[:1]
    given = [arg.partition("=")[0] for arg in argv if arg.startswith("--config.")]
    unknown = next((flag for flag in given if set(quoted) & set(flag.split(".")[1:])), None)
    if unknown is None:
        return ""
    near = re.search(r'Did you mean "(\w+)"', _one_line(error))
    meant = f"did you mean {near[1]}?" if near else "--options lists them all"
    return f"{unknown} is not an option; {meant}"


def _one_line(error: BaseException) -> str:
    text = str(error.args[0]) if error.args else str(error)
    return " ".join(text.split())
