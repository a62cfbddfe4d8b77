import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from idc_jax.report import figures, palette, projection, summary, thumbnails
from idc_jax.report.answers import describe_annotator, picked_samples
from idc_jax.report.curves import training_panels
from tests.report import runs


def test_map_points_keep_the_picks():
    picks = np.array([7, 99, 3])
    shown = projection.choose_points(100, picks, 20, seed=0)
    assert len(shown) == len(set(shown.tolist())) == 20
    assert set(picks) <= set(shown.tolist())


def test_too_many_picks_leave_room_for_others():
    shown = projection.choose_points(100, np.arange(60), 20, seed=0)
    assert np.sum(shown < 10) == 10
    assert len(shown) == 20


def test_projection_is_fixed_by_its_seed_and_keeps_clusters_apart():
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1], 30)
    x = np.eye(8)[group] + 0.05 * rng.normal(size=(60, 8))
    first, second = projection.project(x, seed=1), projection.project(x, seed=1)
    np.testing.assert_array_equal(first, second)
    distances = np.linalg.norm(first[:, None] - first[None], axis=-1)
    np.fill_diagonal(distances, np.inf)
    np.testing.assert_array_equal(group[distances.argmin(1)], group)


@pytest.mark.parametrize("shape", [(1, 4), (3, 1), (40, 3), (40, 1)])
def test_projection_of_too_little(shape):
    points = projection.project(np.full(shape, 0.1), seed=0)
    assert points.shape == (shape[0], 2)
    assert np.isfinite(points).all()


def test_projection_of_one_dimension():
    points = projection.project(np.array([[-1.0], [1.0]] * 20), seed=0)
    assert points.shape == (40, 2)
    assert np.isfinite(points).all()


def test_matched_clusters_share_a_slot_and_others_get_their_own():
    labels = np.array([0, 0, 1, 1])
    slots = palette.assign_slots(np.array([2, 2, 0, 0]), np.array([1, 1, 2, 2]), labels, 4)
    assert slots.initial[2] == slots.final[1] == slots.classes[0]
    assert slots.initial[0] == slots.final[2] == slots.classes[1]
    for side in (slots.initial, slots.final):
        assert len(set(side.tolist())) == 4


def test_every_slot_up_to_a_hundred_looks_different():
    looks = {(palette.colour(slot), palette.marker(slot)) for slot in range(100)}
    assert len(looks) == 100


def test_confusion_figures_of_any_size_are_svg():
    for classes, clusters in ((1, 1), (2, 5), (30, 20)):
        table = np.ones((classes, clusters), int)
        names = [f"a rather long class name {i}" for i in range(classes)]
        columns = [str(i) for i in range(clusters)]
        assert b"<svg" in figures.draw_confusion(table, names, columns, palette.DARK)


def test_map_figure_without_picks_is_png():
    data = figures.draw_map(
        np.random.default_rng(0).normal(size=(5, 2)),
        np.zeros(5, int),
        {0: "0"},
        np.zeros((0, 2)),
        palette.LIGHT,
    )
    assert Image.open(io.BytesIO(data)).format == "PNG"


def test_thumbnails_shrink_and_keep_small_images_exact():
    small = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    np.testing.assert_array_equal(np.asarray(_decode(thumbnails.thumbnail(small))), small)
    large = np.zeros((300, 200, 1), np.uint8)
    assert max(_decode(thumbnails.thumbnail(large)).size) == thumbnails.SIDE


def test_panels_keep_phases_apart_and_losses_first():
    log = [{"phase": "a", "step": i, "acc": 0.5, "loss": 1.0, "lr": 1} for i in range(3)]
    log += [{"phase": "b", "step": 9, "loss": 2.0}, {"phase": "b", "step": 1, "loss": np.nan}]
    log += [{"phase": "b", "step": 0, "loss": 3.0, "note": "text"}]
    panels = training_panels(log)
    assert [title for title, _ in panels] == ["a · loss", "b · loss", "a · ACC", "a · lr"]
    # Steps that go back cannot be an axis; what is not finite is not drawn.
    x, y = panels[1][1]["loss"]
    np.testing.assert_array_equal(x, [1, 2])
    np.testing.assert_array_equal(y, [2, 3])


def test_picks_are_listed_once_in_the_order_asked():
    rounds = [runs.pair_round(1, [[5, 2]], [1]), runs.label_round(2, [2, 9, 1], [0, 0, 0])]
    np.testing.assert_array_equal(picked_samples(rounds), [5, 2, 9, 1])


def test_thinning_keeps_the_ends():
    kept = summary.thin(list(range(100)), 5)
    assert len(kept) == 5
    assert (kept[0], kept[-1]) == (0, 99)
    assert summary.thin([1, 2], 5) == [1, 2]


@pytest.mark.parametrize(
    ("annotator", "words"),
    [
        ({"kind": "page"}, "a person"),
        ({"kind": "file", "file": "a.jsonl"}, "a.jsonl"),
        (
            {"kind": "oracle", "skip_rate": 0.1, "host": "::1"},
            r"simulated annotator .*\(skip rate 0.1\)",
        ),
        (None, "does not name"),
    ],
)
def test_annotator_in_words(annotator, words):
    assert re.search(words, describe_annotator({"annotator": annotator}))


def _decode(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))


@pytest.mark.filterwarnings("ignore:.*missing from font")
@pytest.mark.parametrize(
    "name", ["$\\frac$", "$$", "a$b$c", "caf\ud8e9", "two\nlines", "<b>&", "\\", "猫"]
)
def test_names_of_classes_are_no_formulas(name):
    drawn = figures.draw_confusion(np.eye(2, dtype=int), [name, "b"], ["0", "1"], palette.LIGHT)
    assert b"<svg" in drawn
    points, nothing = np.eye(2), np.zeros((0, 2))
    figures.draw_map(points, np.zeros(2, int), {0: name}, nothing, palette.LIGHT)
