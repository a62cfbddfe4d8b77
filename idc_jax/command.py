"""The command ``idc-jax``: a clustering that asks on a page, and what is done with runs.

    idc-jax quickstart
    idc-jax ask PHOTOS --clusters=12 --save=sorted
    idc-jax export RUN --to=folders --out=sorted --unsure=0.5
    idc-jax export RUN --to=label_studio --out=tasks
    idc-jax run --config=digits:idc --config.budget=100

Every subcommand is one function that adds its parser; what it needs is imported when it runs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from idc_jax.errors import UserError, of_the_system, show_anything


def main(argv: Sequence[str] | None = None) -> int:
    """Do what ``argv`` asks for; 0 when done, 2 where the user has to change something."""
    argv = sys.argv[1:] if argv is None else list(argv)
    show_anything()
    try:
        if argv[:1] == ["run"]:
            from idc_jax import launch

            # Flags of its own, of which the config makes a few hundred.
            return launch.main(["idc-jax run", *argv[1:]])
        options = _parser().parse_args(argv)
        options.run(options)
        return 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {of_the_system(error)}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("idc_jax"):
            raise
        print(f"error: {error.name} is missing; pip install 'idc_jax[train,data]'", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as everything here does."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="idc-jax", description="Clustering that asks the right questions.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_quickstart(commands)
    _add_ask(commands)
    _add_export(commands)
    commands.add_parser("run", help="an experiment from a config, as launch.py runs it; run --help")
    return parser


def _path(text: str) -> Path:
    """A path, also from the home folder on, which shells leave as it is behind an "="."""
    return Path(text).expanduser()


def _add_quickstart(commands: Any) -> None:
    text = "cluster 1,797 handwritten digits and ask about them on a page"
    parser = commands.add_parser("quickstart", help=text, description=f"{text.capitalize()}.")
    parser.set_defaults(run=_quickstart)
    _add_page(parser)


def _add_ask(commands: Any) -> None:
    text = "cluster a folder of images or a file of features, and ask about them on a page"
    parser = commands.add_parser("ask", help=text, description=f"{text.capitalize()}.")
    parser.set_defaults(run=_ask)
    parser.add_argument(
        "data",
        metavar="DATA",
        help="a folder of images, or an .npz, .npy, .csv or .parquet of features",
    )
    parser.add_argument("--clusters", default=0, type=int, help="groups wanted; found if not given")
    parser.add_argument("--method", help="who asks and learns; the usual one if not given")
    parser.add_argument(
        "--save", required=True, type=_path, help="where everything is kept; if there, it goes on"
    )
    _add_page(parser)


def _add_page(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--questions", type=int, default=10, help="questions of a round (10)")
    parser.add_argument("--rounds", type=int, help="rounds at most; until people stop if not given")
    parser.add_argument("--port", type=int, default=8765, help="the page's; 0 takes a free one")


def _quickstart(given: argparse.Namespace) -> None:
    from idc_jax import Session, data

    session = Session(data.load("digits").inputs, 10, progress=True)
    session.serve(per_round=given.questions, rounds=given.rounds, port=given.port)
    _tell(session)


def _ask(given: argparse.Namespace) -> None:
    from idc_jax import Session

    if (given.save / "session.json").exists():
        print(f"going on in {given.save}", flush=True)
        session = Session.load(given.save, progress=True)
    else:
        session = Session(given.data, given.clusters, method=given.method, progress=True)
    # Before anything is asked: every answer is kept there from then on.
    session.save(given.save)
    session.serve(per_round=given.questions, rounds=given.rounds, port=given.port)
    session.save(given.save)
    _tell(session)


def _tell(session: Any) -> None:
    for group in session.groups_:
        print(f"{group.name}: {group.size} samples, {group.answered} answered")
    if session.outlook_ is not None:
        print(session.outlook_["told"])


def _add_export(commands: Any) -> None:
    text = "take a finished run's groups elsewhere"
    parser = commands.add_parser("export", help=text, description=f"{text.capitalize()}.")
    parser.set_defaults(run=_export)
    parser.add_argument("folder", metavar="RUN", type=_path, help="the --workdir of a finished run")
    parser.add_argument(
        "--to",
        required=True,
        help="folders, csv, parquet, huggingface, fiftyone or label_studio",
    )
    parser.add_argument("--out", required=True, type=_path, help="the file or folder to make")
    parser.add_argument(
        "--unsure", type=float, help="folders: below this confidence, an image goes to unsure/"
    )
    parser.add_argument(
        "--links", help="folders, huggingface, fiftyone: hard (the default), soft or copy"
    )
    parser.add_argument(
        "--root",
        type=_path,
        help="label_studio: its document root; the parent folder of the images' if not given",
    )


def _export(given: argparse.Namespace) -> None:
    from idc_jax import export

    run = export.read_run(given.folder)
    options = export.Options(given.unsure, given.links, given.root)
    said = export.export(run, given.to, given.out, options, load_images=lambda: _images(run.config))
    print(f"{run.table.size} samples in {len(set(run.table.names))} groups: {given.out.resolve()}")
    if said:
        print(said)


def _images(config: Any) -> Any:
    """The images of a run on a data set that is not a folder of them, loaded as the run did."""
    from ml_collections import ConfigDict

    from idc_jax.runs.parts import load_dataset

    return load_dataset(ConfigDict(config)).inputs
