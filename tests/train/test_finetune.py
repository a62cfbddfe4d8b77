"""Fine-tuning against a plain step written out, and its plan."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from compiling import compilations

from idc_jax import models
from idc_jax.data import feature_views
from idc_jax.data.views import Views
from idc_jax.models.base import Model, Variables
from idc_jax.train import finetune as ft
from idc_jax.train.fit import fit_targets

N, D, C = 12, 5, 3
VIEWS = feature_views(
    weak_noise=0.0, strong_noise=0.0, weak_dropout=0.0, strong_dropout=0.0, scale=0.0
)

# Everybody is sure enough, and nothing moves. Tests with the same options share a program.
STILL = {"threshold": 0.0, "learning_rate": 1e-9, "negative": "mean", "regularise_from": 0.5}


@pytest.fixture(scope="module")
def network() -> tuple[Model, Variables, jax.Array]:
    data = jax.random.normal(jax.random.key(3), (N, D))
    model = models.build("mlp", num_clusters=C, input_shape=(D,), width=8)
    return model, model.init(jax.random.key(4), data[:2]), data


def known(labels: list[int], rejected: dict[int, list[int]]) -> ft.Supervision:
    """What is known of the first samples; nothing is of the others."""
    out = np.zeros((N, C), bool)
    for sample, clusters in rejected.items():
        out[sample, clusters] = True
    every = np.array(labels + [-1] * (N - len(labels)))
    asked = (every >= 0) | out.any(1)
    parts = (every, out, asked, np.zeros(N, bool))
    return ft.Supervision(*map(jnp.asarray, parts), jnp.zeros((0, C)))


def run(
    network: tuple[Model, Variables, jax.Array],
    what: ft.Supervision,
    *,
    capacity: int = N,
    views: Views = VIEWS,
    **options,
):  # type: ignore[no-untyped-def]
    model, variables, data = network
    return ft.finetune(
        jax.random.key(0),
        model,
        views,
        data,
        variables,
        what,
        jnp.full(N, -1, jnp.int32),
        ft.FinetuneOptions(**{"epochs": 1, "batch_size": 4} | options),
        capacity=capacity,
        log=lambda values: None,
        progress=False,
    )


@pytest.mark.parametrize(("named", "batch"), [(2, 4), (3, 4), (3, 9)])
def test_one_step_is_the_equations_step(
    network: tuple[Model, Variables, jax.Array], named: int, batch: int
) -> None:
    model, variables, data = network
    # Four answers, so that the one step sees all of them, whatever room there is for more.
    rejected = {2: [0, 2], 3: [1]} if named == 2 else {3: [1]}
    moved, _, info = run(
        network,
        known([0, 1, 2][:named], rejected),
        batch_size=batch,
        negative="mean",
        regularisation_weight=0.0,
        weight_decay=0.1,
        learning_rate=0.01,
    )

    def loss(params):  # type: ignore[no-untyped-def]
        def probs(rows):  # type: ignore[no-untyped-def]
            # Training mode, a subset at a time: BatchNorm sees the subset alone.
            outputs, _ = model.apply({**variables, "params": params}, data[rows], True)
            return jax.nn.softmax(outputs.logits)

        rows = jnp.arange(named)
        positive = -jnp.mean(jnp.log(probs(rows)[rows, rows]))
        away = -jnp.log(1 - probs(jnp.asarray(list(rejected))))
        terms = [away[i, jnp.asarray(out)].mean() for i, out in enumerate(rejected.values())]
        return positive + sum(terms) / len(terms)

    @jax.jit
    def step(params):  # type: ignore[no-untyped-def]
        value, grads = jax.value_and_grad(loss)(params)
        # Adam with L2 in the gradient; the instance head has no gradient and must not shrink.
        grads = jax.tree.map(lambda g, p: g + 0.1 * p, grads, params)
        updates, _ = (adam := optax.adam(0.01)).update(grads, adam.init(params))
        return value, grads, optax.apply_updates(params, updates)

    value, grads, expected = step(variables["params"])
    assert info["loss"] == pytest.approx(float(value), rel=1e-4)
    expected["instance_head"] = variables["params"]["instance_head"]
    # Adam's first step is the gradient's sign: where that is rounding noise there is no telling.
    clear = jax.tree.map(lambda g: np.abs(g) > 1e-4, grads)
    jax.tree.map(
        lambda a, b, c: np.testing.assert_allclose(a[c], b[c], atol=2e-4),
        moved["params"],
        expected,
        clear,
    )
    jax.tree.map(
        np.testing.assert_array_equal, moved["params"]["instance_head"], expected["instance_head"]
    )


def test_the_first_half_can_do_without_pseudo_labels(
    network: tuple[Model, Variables, jax.Array],
) -> None:
    # Two steps, the second of which counts L_reg; the log has the means of both.
    choice = [0, 1, 2, 0, 1, 2, 0, 1]
    *_, info = run(network, known(choice, {}), **STILL)
    counted = info["loss"] - info["positive"] - info["negative"]
    assert info["regularisation"] > 0.1
    # The network hardly moves, and all samples are seen by both steps.
    assert counted == pytest.approx(info["regularisation"] / 2, rel=1e-3)


def test_without_answers_nothing_moves(network: tuple[Model, Variables, jax.Array]) -> None:
    _, variables, _ = network
    moved, store, info = run(network, known([], {}))
    assert info == {}
    assert (np.asarray(store) == -1).all()
    jax.tree.map(np.testing.assert_array_equal, moved, variables)


@pytest.mark.parametrize("pseudo_labels", ["threshold", "store"])
def test_confident_samples_are_kept_and_answered_ones_left_out(
    network: tuple[Model, Variables, jax.Array], pseudo_labels: str
) -> None:
    options = STILL | {"pseudo_labels": pseudo_labels}
    *_, certain = run(network, known([0, 1, 2, 0], {}), **options)
    assert certain["regularisation"] > 0
    *_, nobody = run(network, known([0] * N, {}), **options)
    assert nobody["regularisation"] == 0


def test_doubtful_samples_are_left_out(network: tuple[Model, Variables, jax.Array]) -> None:
    what = known([0, 1, 2, 0], {})
    *_, doubtful = run(network, what, **STILL | {"threshold": 1.0})
    assert doubtful["regularisation"] == 0


def test_the_plan_repeats_whole_epochs() -> None:
    options = ft.FinetuneOptions(epochs=3, batch_size=4)
    assert ft.schedule(10, options) == (6, 4)
    assert ft.schedule(3, options) == (3, 3)
    assert ft.schedule(3, options._replace(min_steps=50)) == (50, 3)
    answered = np.asarray([2, 3, 5, 7, 11, 13, 17, 19])
    plan, real = ft._plan(jax.random.key(0), answered, 40, 6, 4, 5, restart=False)
    # Room for five labelled and 25 others in a step.
    assert plan.shape == real.shape == (6, 5 + 25)
    assert real[0].tolist() == [True] * 4 + [False] + [True] * 20 + [False] * 5
    for epoch in range(3):
        assert sorted(np.ravel(plan[2 * epoch : 2 * epoch + 2, :4])) == answered.tolist()


@pytest.mark.parametrize("pseudo_labels", ["threshold", "store", "graph"])
def test_more_answers_compile_nothing(
    network: tuple[Model, Variables, jax.Array], pseudo_labels: str
) -> None:
    found = []
    for labels, rejected in (([0, 1], {}), ([0, 1, 2, 0, 1], {7: [1]}), ([0] * 9, {9: [2]})):
        what = known(labels, rejected)
        if pseudo_labels == "graph":
            what = what._replace(targets=jnp.full((N, C), 1 / C))
        with compilations() as compiled:
            run(network, what, pseudo_labels=pseudo_labels, epochs=3)
        found.append(compiled)
    assert found[0]
    assert found[1:] == [[], []]


def test_a_pool_beyond_the_capacity_is_learned_from_as_well(
    network: tuple[Model, Variables, jax.Array],
) -> None:
    *_, info = run(network, known([0, 1, 2] * 3, {}), capacity=2)
    assert np.isfinite(info["loss"])


def test_room_for_more_answers_changes_nothing(
    network: tuple[Model, Variables, jax.Array],
) -> None:
    what = known([0, 1, 2, 0], {4: [1]})
    views = feature_views(
        weak_noise=0.1, strong_noise=0.3, weak_dropout=0.0, strong_dropout=0.2, scale=0.1
    )
    found = [
        run(network, what, views=views, capacity=capacity, batch_size=9, epochs=3)[0]
        for capacity in (5, 9)
    ]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), *found)


def test_a_head_is_fitted_alone(network: tuple[Model, Variables, jax.Array]) -> None:
    model, variables, data = network
    targets = jax.nn.one_hot(jnp.arange(N) % C, C)
    fitted, losses = fit_targets(
        jax.random.key(0),
        model,
        VIEWS.val,
        variables,
        data,
        targets,
        steps=30,
        batch_size=N,
        learning_rate=1e-2,
        head_only=True,
    )
    assert float(losses[-1]) < float(losses[0])
    for name, tree in variables["params"].items():
        same = jax.tree.map(lambda a, b: bool((a == b).all()), tree, fitted["params"][name])
        assert all(jax.tree.leaves(same)) == (name != "cluster_head")
