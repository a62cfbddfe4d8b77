"""The committee on rows of half precision: the same to rounding, and no float32 copy of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from idc_jax import ops, selectors
from idc_jax.methods.committee import members, method, opening, poisson, spreading
from idc_jax.methods.committee.options import CommitteeOptions, GraphCommitteeOptions
from idc_jax.methods.committee.space import compare
from idc_jax.ops import blocks, graph

N, D, C, WAVES = 120, 24, 3, 20
MANY = 40_000
OPTIONS = GraphCommitteeOptions(coordinates=WAVES, steps=50)
OWN = CommitteeOptions(*(getattr(OPTIONS, name) for name in CommitteeOptions._fields))
LABELS = np.arange(N) * C // N


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    return jnp.asarray(3 * np.eye(C, D)[LABELS] + rng.normal(size=(N, D)), jnp.float16)


@pytest.fixture(scope="module")
def spaces(rows):
    return [
        compare(jax.random.key(0), x, OPTIONS)
        for x in (rows, rows.astype(jnp.float32), rows.astype(jnp.bfloat16))
    ]


def told():
    choice = np.full(N, -3, np.int32)
    choice[[0, 1, 50, 100]] = LABELS[[0, 1, 50, 100]]
    return jnp.full((N, C), 1 / C), choice, np.zeros((N, C), bool)


def test_views_are_as_narrow_as_the_rows_and_the_same_to_rounding(spaces):
    narrow, wide, _ = spaces
    assert narrow.plain.dtype == narrow.features.dtype == narrow.smooth.dtype == jnp.float16
    assert {view.dtype for view in narrow.further} == {jnp.dtype(jnp.float16)}
    np.testing.assert_allclose(narrow.features, wide.features, atol=5e-3)
    np.testing.assert_allclose(narrow.further[0], wide.further[0], atol=5e-3)
    np.testing.assert_allclose(narrow.density, wide.density, atol=0.02)
    for found, wanted in zip(narrow.further_views(), wide.further_views(), strict=True):
        at = jnp.arange(0, N, 7)
        np.testing.assert_allclose(found.at(at), wanted.at(at), atol=5e-3)


def test_half_precision_learns_what_float32_does(spaces):
    narrow, wide, coarse = (np.asarray(members.decide(space, *told(), OWN)) for space in spaces)
    assert (wide.argmax(1) == LABELS).mean() > 0.9
    for found, atol in ((narrow, 0.03), (coarse, 0.1)):
        np.testing.assert_allclose(found, wide, atol=atol)
        assert (found.argmax(1) == wide.argmax(1)).mean() > 0.98


def test_what_the_rows_tell_is_not_kept_beside_them(rows, spaces):
    assert spaces[0].plain is rows
    # The features averaged as they came, and three views that are told.
    assert [len(spaces[0].further), len(spaces[0].looks)] == [1, 2]
    bare = compare(jax.random.key(0), rows, OPTIONS._replace(stacking=False, student=False))
    assert (bare.further, bare.looks, bare.plain.shape) == ((), (), (N, 0))


def test_density_without_a_search_is_that_among_the_rows_own_neighbours(rows):
    searches = []

    def search(x, k):
        searches.append(ops.knn(x, k))
        return searches[-1]

    lean = OPTIONS._replace(views=False, density_neighbors=7)
    sought = compare(jax.random.key(0), rows, lean, search)
    assert len(searches) == 2
    space = compare(jax.random.key(0), rows, lean._replace(density_search=False), search)
    assert len(searches) == 3
    near = np.asarray(searches[-1].indices)[:, :7]
    wide = np.asarray(space.features, np.float32)
    wanted = -np.log(np.square(wide[:, None] - wide[near]).sum((1, 2)))
    np.testing.assert_allclose(space.density, wanted, rtol=1e-4)
    assert np.corrcoef(space.density, sought.density)[0, 1] > 0.8


def many(a):
    """The shape of ``a``, of many samples where it is of all."""
    return jax.ShapeDtypeStruct((MANY, *a.shape[1:]) if a.shape[:1] == (N,) else a.shape, a.dtype)


def test_learning_holds_few_predictions_in_between(spaces, monkeypatch):
    monkeypatch.setattr(blocks, "_COLUMNS", 0)
    monkeypatch.setattr(members, "_BLOCK", 1024)
    classes, choice = 24, told()[1]
    given = jnp.full((N, classes), 1 / classes), choice, np.zeros((N, classes), bool)
    lesson = members._lesson(*given, *members._answered(choice, 0), num_rows=N)
    # What it was given is not copied.
    assert lesson.probabilities is given[0]
    flows = members._flows(spaces[0], lesson, OWN, True)
    space = jax.tree.map(many, spaces[0])._replace(students=spaces[0].students)
    lesson, flows = jax.tree.map(many, (lesson, flows))
    floats = jax.ShapeDtypeStruct((MANY,), jnp.float32)
    said = (lesson.rows, lesson.said)
    along = ((lesson.probabilities, lesson.choice, lesson.rejected), *said, lesson.named)
    programs = {
        "influence": spreading._influence.lower(space.graphs[0], *said, 0.9, 30),
        "along": spreading._along.lower(space.graphs[0], *along, lesson.weights, 0.9, 30),
        "weighed": members._weighed.lower(space, lesson, flows, floats, OWN, MANY, True),
    }
    for name, program in programs.items():
        held = program.compile().memory_analysis().temp_size_in_bytes
        assert held < 2.5 * 4 * classes * MANY, name


def test_flows_come_one_after_the_other(spaces, monkeypatch):
    """At once, they would hold what each holds in between."""
    slow = jax.jit(lambda x: jax.lax.fori_loop(0, 300, lambda _, y: x @ y, x))
    pending = []

    def late(width):
        assert all(a.is_ready() for a in pending)
        pending.append(slow(jnp.eye(400))[:N, :width])
        return pending[-1]

    monkeypatch.setattr(spreading, "_influence", lambda *given: late(1))
    monkeypatch.setattr(spreading, "_along", lambda *given: (late(C), None))
    monkeypatch.setattr(poisson, "_potential", lambda edges, charge, _: late(charge.shape[1]))
    lesson = members._lesson(*told(), *members._answered(told()[1], 0), num_rows=N)
    members._flows(spaces[0], lesson, OWN, True)
    assert len(pending) == 2 * len(OWN.reaches) + 2


def test_nothing_makes_all_rows_float32(spaces, monkeypatch):
    monkeypatch.setattr(blocks, "_COLUMNS", 0)
    space = jax.tree.map(many, spaces[0])._replace(students=spaces[0].students)
    near = ops.Neighbors(
        *(jax.ShapeDtypeStruct((MANY, 10), dtype) for dtype in (jnp.float32, jnp.int32))
    )
    lesson = members._lesson(*told(), *members._answered(told()[1], 0), num_rows=N)
    flows = members._flows(spaces[0], lesson, OWN, True)
    lesson, flows = jax.tree.map(many, (lesson, flows))
    flags = jax.ShapeDtypeStruct((MANY,), bool)
    floats = jax.ShapeDtypeStruct((MANY,), jnp.float32)
    centers = jnp.zeros((C, D))
    picks = jax.jit(
        lambda x, base, asked, free: selectors.idc_from_scores(
            x, base, 5, labelled=asked, candidates=free
        )
    )
    programs = {
        "decide": members._weighed.lower(space, lesson, flows, floats, OWN, MANY, True),
        "near": method._near.lower(space.features, centers, MANY),
        "everywhere": method._beside.lower(space),
        "to own": opening._to_own.lower(space.features, centers, many(jnp.asarray(told()[1]))),
        "look": graph.looked_at.lower(space.plain, spaces[0].look),
        "smooth": graph.smooth.lower(space.plain, near, hops=2),
        "picks": picks.lower(space.features, floats, flags, flags),
    }
    for name, program in programs.items():
        text = program.as_text()
        assert f"tensor<{MANY}x{D}xf16>" in text, name
        for width in (D, WAVES, D + WAVES):
            assert f"tensor<{MANY}x{width}xf32>" not in text, name
