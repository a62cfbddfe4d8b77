"""Files of answers, damaged and odd in every way: taken for what they say, or refused in one line.

Never a traceback, a hang, or an answer that nobody gave. ``IDC_JAX_FUZZ=1000`` tries so many files
of each kind that a run, or ``--config.answers``, reads.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from answer_files import DATA, KINDS, PATHS, X, files, rounds
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from limits import within

from idc_jax.annotate import SKIP, Row, Store
from idc_jax.annotate.exchange import import_file
from idc_jax.annotate.naming import MAX_GROUP
from idc_jax.annotate.questions import DIFFERENT, NONE_OF_THESE, SAME
from idc_jax.annotate.samples import Samples
from idc_jax.data.identity import digests
from idc_jax.errors import UserError
from idc_jax.runs.bringing import bring
from idc_jax.runs.sources import write_samples

EXAMPLES = int(os.environ.get("IDC_JAX_FUZZ", "20"))
SECONDS = 20
FUZZ = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="IDC_JAX_FUZZ" not in os.environ,
    suppress_health_check=list(HealthCheck),
)


def take(store: Store, path: Path, *, brought: bool) -> str | None:
    """Read ``path`` into ``store``; the line by which it was refused, or None."""
    try:
        with within(SECONDS):
            if brought:
                bring(store, DATA, digests(X), str(path), max_groups=9).told(str(path)).encode()
            else:
                import_file(store, path, max_groups=9)
    except UserError as error:
        return str(error)
    return None


def check(path: Path, *, brought: bool) -> None:
    with Store(path.parent / "answers.db") as store:
        for questions in () if brought else rounds():
            store.freeze(questions)
        refused = take(store, path, brought=brought)
        if refused is not None:
            assert refused.strip()
            assert len(refused.splitlines()) == 1, refused
            assert len(refused) < 700, refused
            refused.encode()
            assert store.rows() == ()
            assert store.groups() == ()
            return
        check_answers(store)
        rows = store.rows()
        # The same file again says nothing new.
        assert take(store, path, brought=brought) is None
        assert store.rows() == rows


def check_answers(store: Store) -> None:
    """Every answer is one to its question, by somebody with a name."""
    groups = {group.id: group.name for group in store.groups()}
    for name in groups.values():
        assert name == " ".join(name.split()) != ""
        assert name.isprintable()
        name.encode()
    for row in store.rows():
        questions = store.questions(row.round)
        assert questions is not None
        assert 0 <= row.position < questions.count
        assert row.annotator.strip()
        row.annotator.encode()
        assert np.isfinite([row.seconds, row.time]).all()
        allowed = {
            "pair": (SAME, DIFFERENT, SKIP),
            "cluster": (NONE_OF_THESE, SKIP, *questions.candidates[row.position].tolist()),
            "label": (SKIP, *range(10), *groups),
        }[questions.kind]
        numbered = questions.kind == "label" and 0 <= row.choice <= MAX_GROUP
        assert row.undoes is not None or numbered or row.choice in allowed


@pytest.mark.parametrize("kind", KINDS)
def test_valid_files_are_taken(kind: str, tmp_path: Path) -> None:
    ending, make, write, brought = KINDS[kind]
    path = tmp_path / f"answers{ending}"
    path.write_bytes(write(make()))
    check(path, brought=brought)
    with Store(tmp_path / "answers.db") as store:
        assert sum(len(store.live(number)) for number in store.rounds()) >= 3


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_taken_or_refused_in_one_line(kind: str) -> None:
    ending, _, _, brought = KINDS[kind]

    @FUZZ
    @given(files(kind))
    def each(content: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"answers{ending}"
            path.write_bytes(content)
            check(path, brought=brought)

    each()


@FUZZ
@given(
    labels=st.one_of(
        st.lists(st.integers(-2, 4), min_size=12, max_size=12),
        st.lists(st.floats(width=32), max_size=12),
        st.lists(st.text(max_size=3), min_size=12, max_size=12),
        st.lists(st.integers(-(2**63), 2**63 - 1), min_size=12, max_size=12),
    ),
    ids=st.one_of(st.none(), st.just(list(PATHS)), st.lists(st.integers(-2, 14), max_size=12)),
    at=st.integers(0, 700),
    flip=st.integers(0, 255),
    cut=st.booleans(),
)
@example(labels=[0.0, float("nan")] * 6, ids=None, at=0, flip=0, cut=False)
def test_arrays_are_taken_or_refused_in_one_line(
    labels: list, ids: list | None, at: int, flip: int, cut: bool
) -> None:
    arrays = {"labels": np.asarray(labels)} | ({} if ids is None else {"ids": np.asarray(ids)})
    content = io.BytesIO()
    np.savez(content, **arrays)
    written = bytearray(content.getvalue())
    if flip and at < len(written):
        written[at] ^= flip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.npz"
        path.write_bytes(written[:at] if cut else written)
        check(path, brought=True)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    write_samples(folder, Samples(PATHS, digests(X)))
    with Store(folder / "answers.db") as store:
        for questions in rounds():
            store.freeze(questions)
        store.add(Row(f"a{n}", 1, n, "Ann", n % 2) for n in range(4))
        store.add([Row("u", 1, 0, "Ann", 0, undoes="a0"), Row("p", 2, 1, "Ann", SAME)])
        store.name_group("k", "cat", 0)
    # One file, without what SQLite keeps beside it.
    with Store(folder / "answers.db") as store:
        store._db.execute("PRAGMA journal_mode=DELETE")
    return folder


def test_a_damaged_run_is_taken_or_refused_in_one_line(run_folder: Path) -> None:
    @FUZZ
    @given(
        file=st.sampled_from(["answers.db", "samples.npz"]),
        at=st.floats(0, 1, exclude_max=True),
        noise=st.binary(max_size=40),
        cut=st.booleans(),
    )
    @example(file="samples.npz", at=0.0, noise=b"", cut=True)
    @example(file="samples.npz", at=0.705078125, noise=b"\x02", cut=False)
    @example(file="answers.db", at=0.078125, noise=b"\x80", cut=False)
    @example(file="answers.db", at=0.39513519409491266, noise=bytes(4), cut=False)
    def each(file: str, at: float, noise: bytes, cut: bool) -> None:
        with tempfile.TemporaryDirectory() as place:
            folder = shutil.copytree(run_folder, Path(place) / "run")
            content = (folder / file).read_bytes()
            start = int(at * len(content))
            rest = b"" if cut else content[start + len(noise) :]
            (folder / file).write_bytes(content[:start] + noise + rest)
            check(folder, brought=True)

    each()
