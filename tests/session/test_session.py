"""A session in Python: asked, answered, corrected, kept, and refused in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from idc_jax import Session
from idc_jax.annotate import Store
from idc_jax.data.base import Dataset
from idc_jax.data.identity import digests
from idc_jax.errors import UserError
from idc_jax.metrics import clustering_metrics
from idc_jax.runs.bringing import bring
from idc_jax.train.checkpoint import Checkpoints

N, C = 90, 3
LABELS = np.repeat(np.arange(C), N // C)
NAMES = np.array(["cat", "dog", "ship"])
QUICK = {
    "graph_committee.steps": 30,
    "idc.head_steps": 10,
    "finetune.min_steps": 10,
    "finetune.epochs": 2,
    "dsac_training.epochs": 2,
    "pcl_training.block_size": 30,
    "pcl_training.epochs": 1,
}


@pytest.fixture(scope="module")
def blobs() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (3 * np.eye(C, 6)[LABELS] + rng.normal(size=(N, 6))).astype(np.float32)


def begin(blobs: np.ndarray, method: str = "graph_committee", **given) -> Session:  # type: ignore[no-untyped-def]
    own = {"graph_committee": "graph_committee", "idc": "idc finetune"}
    groups = own.get(method, f"{method} {method}_training").split()
    options = {name: value for name, value in QUICK.items() if name.split(".")[0] in groups}
    return Session(blobs, num_clusters=C, method=method, options=options, **given)


@pytest.fixture(scope="module")
def answered(blobs: np.ndarray) -> Session:
    """A session with twelve answers; to be read."""
    session = begin(blobs)
    for _ in range(2):
        batch = session.ask(6)
        session.answer({i: NAMES[LABELS[i]] for i in batch.ids})
    return session


def test_answers_by_name_make_the_groups(answered: Session) -> None:
    assert clustering_metrics(answered.labels_, LABELS, C)["acc"] > 0.9
    assert sorted(group.name for group in answered.groups_) == ["cat", "dog", "ship"]
    assert sum(group.size for group in answered.groups_) == N
    assert sum(group.answered for group in answered.groups_) == 12
    names = np.array([group.name for group in answered.groups_])[answered.labels_]
    assert (names == NAMES[LABELS]).mean() > 0.9
    np.testing.assert_allclose(answered.probabilities_.sum(1), 1, rtol=1e-4)
    assert answered.expected_accuracy_ is not None
    assert 0 < answered.expected_accuracy_ <= 1


def test_nothing_that_was_answered_is_asked_again(blobs: np.ndarray) -> None:
    session = begin(blobs)
    first = session.ask(5)
    assert (first.kind, len(first), first.ids) == ("label", 5, tuple(first.indices.tolist()))
    session.answer(dict.fromkeys(first.ids[:3], "cat") | {first.ids[3]: None})
    second = session.ask(N)
    # What nobody has answered may come again; None is an answer.
    assert set(first.ids[:4]).isdisjoint(second.ids)
    assert first.ids[4] in second.ids


def test_whatever_was_not_asked_may_be_answered_corrected_and_withdrawn(blobs: np.ndarray) -> None:
    session = begin(blobs)
    before = session.labels_
    session.answer({1: "cat", 40: "dog", 70: "ship", 2: "dog"})
    assert session.labels_[1] != session.labels_[40]
    session.answer({2: "cat"})
    assert session.labels_[2] == session.labels_[1]
    assert [group.answered for group in session.groups_ if group.name == "dog"] == [1]
    session.withdraw([2])
    assert sum(group.answered for group in session.groups_) == 3
    with pytest.raises(UserError, match="nothing was said about 5 by 'me'"):
        session.withdraw([5])
    session.withdraw([1, 40, 70])
    np.testing.assert_array_equal(session.labels_, before)


@pytest.mark.parametrize(
    ("method", "kind"), [("idc", "cluster"), ("dsac", "label"), ("pcl", "pair"), ("ipc", "pair")]
)
def test_every_method_asks_in_its_own_way(blobs: np.ndarray, method: str, kind: str) -> None:
    session = begin(blobs, method)
    batch = session.ask(6)
    assert batch.kind == kind
    if kind == "pair":
        said = {(i, j): bool(LABELS[i] == LABELS[j]) for i, j in batch.ids}
    elif kind == "cluster":
        said = dict(zip(batch.ids, batch.candidates[:, 0].tolist(), strict=True))
        with pytest.raises(UserError, match=r"use .*'none' or None"):
            session.answer({batch.ids[0]: "cat"})
    else:
        said = {i: int(LABELS[i]) for i in batch.ids}
    session.answer(said)
    assert np.isfinite(session.probabilities_).all()
    # Labels and pairs may always be said.
    session.answer({5: "cat", (7, 8): "same"} if kind != "pair" else {5: "cat"})
    assert np.isfinite(session.probabilities_).all()


def test_a_session_goes_on_where_it_was_kept(answered: Session, tmp_path: Path) -> None:
    folder = answered.save(tmp_path / "cats")
    other = Session.load(folder)
    np.testing.assert_array_equal(other.labels_, answered.labels_)
    assert other.expected_accuracy_ == answered.expected_accuracy_
    assert other.groups_ == answered.groups_
    batch = other.ask(4)
    other.answer(dict.fromkeys(batch.ids, "cat"))
    # Nobody called save(): answers are on the disk all the same.
    again = Session.load(folder)
    assert sum(group.answered for group in again.groups_) == 16
    with pytest.raises(UserError, match="holds something already"):
        begin(np.asarray(again._features)).save(folder)
    with pytest.raises(UserError, match="holds no session"):
        Session.load(tmp_path)


def test_what_another_version_learned_is_learned_again(answered: Session, tmp_path: Path) -> None:
    folder = answered.save(tmp_path / "cats")
    kept = Checkpoints(folder / "checkpoints")
    saved = kept.latest()
    assert saved is not None
    tree = saved.tree | {"context": saved.tree["context"] | {"of_old": np.ones(3)}}
    kept.save(saved.step, tree, saved.meta)
    kept.close()
    other = Session.load(folder)
    np.testing.assert_array_equal(other.labels_, answered.labels_)
    assert other.groups_ == answered.groups_
    assert other.expected_accuracy_ is not None


def test_samples_go_by_their_own_names(blobs: np.ndarray, tmp_path: Path) -> None:
    ids = [f"photo {n}" for n in range(N)]
    session = begin(blobs, ids=ids)
    batch = session.ask(3)
    assert set(batch.ids) <= set(ids)
    session.answer({batch.ids[0]: "cat", ("photo 1", "photo 2"): "same"})
    with pytest.raises(UserError, match="no sample 3; use ids such as 'photo 0'"):
        session.answer({3: "cat"})
    session.save(tmp_path / "named")
    assert set(Session.load(tmp_path / "named").ask(3).ids) <= set(ids)


def test_a_frame_brings_its_index(blobs: np.ndarray) -> None:
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pd.DataFrame(blobs, index=[f"row {n}" for n in range(N)]).assign(note="x")
    session = begin(frame)
    session.answer({"row 3": "cat", "row 50": "dog"})
    told = session.to_frame()
    assert list(told.index) == list(frame.index)
    assert told.answer.dropna().to_dict() == {"row 3": "cat", "row 50": "dog"}
    assert told.group["row 3"] == "cat"


def test_a_folder_of_images_is_sorted(tmp_path: Path) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(24):
        shade = rng.integers(0, 60, (8, 8, 3)) + 180 * (number % 2)
        folder = tmp_path / "photos" / "abc"[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(shade.astype(np.uint8)).save(folder / f"{number}.png")
    session = Session(str(tmp_path / "photos"), 2)
    ids = [name for name in session.ask(24).ids if str(name).endswith(("/0.png", "/1.png"))]
    assert len(ids) == 2
    session.answer({name: "dark" if str(name).endswith("0.png") else "light" for name in ids})
    session.save(tmp_path / "kept")
    Session.load(tmp_path / "kept").to_folder(tmp_path / "sorted", links="copy")
    found = sorted(path.name for path in (tmp_path / "sorted" / "dark").iterdir())
    assert found == sorted(f"{number}.png" for number in range(0, 24, 2))
    session.export("csv", tmp_path / "table.csv")
    rows = (tmp_path / "table.csv").read_text().splitlines()
    assert rows[0] == "path,group,name,confidence,answered_by,answer"
    assert sum(row.endswith(",me,dark") for row in rows) == 1
    with pytest.raises(UserError, match="in the folder of the images"):
        session.to_folder(tmp_path / "photos" / "sorted")


def test_images_are_clustered_as_they_are_where_no_network_sees_them() -> None:
    images = np.zeros((20, 4, 4), np.uint8)
    images[10:, :2] = 200
    session = Session(images, 2)
    assert clustering_metrics(session.labels_, np.repeat([0, 1], 10), 2)["acc"] == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: Session(x[0], 2), r"data is float32 \[6\]; use an array \[n, d\] of embeddings"),
        (lambda x: Session("nowhere.npz", 2), "nowhere.npz"),
        (lambda x: Session(x, 1), "num_clusters is 1"),
        (lambda x: Session(x, N + 1), f"{N + 1} clusters of {N} samples"),
        (lambda x: Session(np.where(x > 3, np.nan, x), 2), "data: NaN or infinite features"),
        (lambda x: Session(x, 2, method="none"), "none"),
        (lambda x: Session(x, 2, ids=["a"]), f"there are 1 ids for {N} samples"),
        (lambda x: Session(x, 2, ids=["a"] * N), "ids must differ, but 'a' stands for two"),
        (lambda x: Session(x, 2, options={"committee.hop": 1}), "'committee.hop'; choose one of"),
        (lambda x: Session(np.zeros((9, 4, 4)), 2), "images are float64; they must be uint8"),
    ],
)
def test_what_cannot_be_clustered_is_told_in_a_line(blobs: np.ndarray, make, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UserError, match=message) as refused:
        make(blobs)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({N: "cat"}, f"no sample {N}; use 0 to {N - 1}"),
        ({-1: "cat"}, "no sample -1"),
        ({"x": "cat"}, "no sample 'x'"),
        ({0: ""}, "0: '' is not a group; use a name, a class id up to 1048575 or None"),
        ({0: 1.5}, "1.5 is not a group"),
        ({(0, 1): "maybe"}, "'maybe' is not an answer; use 'same', 'different' or None"),
        ({(0, 0): "same"}, "neither a sample nor a pair of samples"),
    ],
)
def test_bad_answers_are_refused_whole(blobs: np.ndarray, answers, message) -> None:  # type: ignore[no-untyped-def]
    session = begin(blobs)
    with pytest.raises(UserError, match=message):
        session.answer({5: "new", **answers})
    assert session._book.store.rows() == ()
    assert session._book.store.groups() == ()
    with pytest.raises(UserError, match="count is 0"):
        session.ask(0)


def test_the_parts_stay_light() -> None:
    script = (
        "import sys; from idc_jax import selectors\n"
        "heavy = {'flax', 'optax', 'orbax', 'sklearn', 'matplotlib', 'idc_jax.session'}\n"
        "sys.exit(bool(heavy & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_two_processes_cannot_be_in_one_folder(answered: Session, tmp_path: Path) -> None:
    saved = answered.save(tmp_path / "kept")
    script = f"from idc_jax import Session; Session.load({str(saved)!r})"
    with pytest.raises(subprocess.CalledProcessError) as refused:
        subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert f"{saved} is in use by process {os.getpid()} on " in refused.value.stderr


def test_groups_are_told_apart_as_people_do(blobs: np.ndarray) -> None:
    session = begin(blobs)
    session.answer({1: "cat", 40: " Cat", 70: "CAT", 2: 0, 3: "skip"})
    counts = {group.name: group.answered for group in session.groups_ if group.answered}
    assert counts == {"cat": 3, "0": 1}
    with pytest.raises(UserError, match="1 is the number of the group 'cat'"):
        session.answer({5: 1})


def test_a_run_takes_a_sessions_answers(blobs: np.ndarray, tmp_path: Path) -> None:
    session = begin(blobs)
    session.answer({1: "cat", 40: "dog", 70: "ship"})
    kept = session.save(tmp_path / "kept")
    there = Dataset("x", "features", blobs[::-1], None, (), (), np.ones(N, bool), ())
    with Store(tmp_path / "answers.db") as store:
        found = bring(store, there, digests(there.inputs), str(kept), max_groups=C)
        assert (found.taken, found.missing) == (3, ())
        names = {group.id: group.name for group in store.groups()}
        for number in store.rounds():
            questions = store.questions(number)
            assert questions is not None
            for row in store.live(number):
                assert names[row.choice] == NAMES[LABELS[::-1][questions.indices[row.position]]]


def test_64_bit_defaults_change_nothing(blobs: np.ndarray) -> None:
    def played() -> tuple:
        session = begin(blobs)
        ids = session.ask(6).ids
        session.answer({i: NAMES[LABELS[i]] for i in ids})
        return ids, session.ask(4).ids, session.labels_.tolist(), session.expected_accuracy_

    plain = played()
    with jax.enable_x64(True):
        assert played() == plain
