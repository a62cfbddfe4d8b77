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
"""

import contextlib
import io
import os
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import jax
from absl import flags, logging
from ml_collections import ConfigDict, config_flags

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
_HELP = flags.DEFINE_bool("usage", False, "Show this text and stop.")


def main(argv: Sequence[str]) -> int:
    """Run what ``argv`` asks for; 0 when done, 2 where the user has to change something.

    1 says that some points of a sweep failed.
    """
    show_anything()
    try:
        return _main(argv)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {of_the_system(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)
        return 130


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
    all_devices()
    _keep_compiled()
    logging.set_verbosity(logging.WARNING)
    logging.use_absl_handler()
    if _SWEEP.value:
        from idc_jax.sweeps.sweep import run_sweep

        return run_sweep(config, _SWEEP.value, _workdir(config))
    from idc_jax.runs.compose import run_experiment

    report = run_experiment(config, _workdir(config))
    print(f"report: {report.resolve()}")
    return 0


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
    """The parsed config; a file that is not there or does not run becomes one line."""
    path = Path(flags.FLAGS["config"].config_filename.split(":")[0])  # type: ignore[attr-defined]
    if not path.is_file():
        known = ", ".join(shipped())
        raise UserError(f"--config={path}: no such file; a path or one of {known} would do")
    try:
        # The flag keeps an error to itself until the value is first looked into.
        _CONFIG.value.keys()
    except OSError as error:
        raise UserError(f"--config={path} cannot be read: {_one_line(error)}") from error
    return _CONFIG.value


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
    if not any(arg.split("=")[0] in ("--config", "-config") for arg in argv[1:]):
        raise UserError("no --config given; --config=configs/digits.py is a good first one")
    try:
        # Flags of other libraries complain on stderr as well.
        with contextlib.redirect_stderr(io.StringIO()):
            rest = flags.FLAGS([_found(arg) for arg in argv])
    except (flags.Error, AttributeError, KeyError, ValueError, TypeError) as error:
        raise _refusal(error) or UserError(_one_line(error)) from error
    except (OSError, ImportError) as error:
        raise UserError(f"--config cannot be read: {_one_line(error)}") from error
    if len(rest) > 1:
        raise UserError(
            f"unexpected {' '.join(rest[1:])!r}; options are given as --config.NAME=VALUE"
        )


def _refusal(error: BaseException | None) -> UserError | None:
    """What a config itself refused: the innermost, as the flags wrap it in errors of its type."""
    if error is None:
        return None
    own = error if isinstance(error, UserError) else None
    return _refusal(error.__cause__ or error.__context__) or own


def _one_line(error: Exception) -> str:
    text = str(error.args[0]) if error.args else str(error)
    return " ".join(text.split())
