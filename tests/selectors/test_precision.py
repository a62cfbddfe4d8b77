"""Picks, centres and neighbours come from full float32 products, whatever the default is."""

import ast
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest
import selector_inputs as cases

import idc_jax
from idc_jax import ops, scores, selectors
from idc_jax.ops import graph, grouped, symmetric
from idc_jax.selectors import herding

HIGHEST = (jax.lax.Precision.HIGHEST,) * 2
KEY = jax.ShapeDtypeStruct((), jax.eval_shape(lambda: jax.random.key(0)).dtype)
D, C, K = 6, 4, 5


def floats(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def ints(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.int32)


def inputs_of(n: int) -> selectors.SelectorInputs:
    return selectors.SelectorInputs(
        embeddings=floats(n, D),
        probabilities=floats(n, C),
        centers=floats(C, D),
        assignments=ints(n),
    )


def neighbors_of(n: int) -> ops.Neighbors:
    return ops.Neighbors(floats(n, K), ints(n, K))


# Without a product: they sort, sum or count, or are given their neighbours.
WITHOUT = {"random", "margin", "entropy", "self_paced_weights"}
WITHOUT |= {"smooth", "weights_and_degrees"}


def functions(n: int) -> dict:
    """Everything that multiplies matrices on ``n`` samples, and its arguments."""
    x, near = floats(n, D), neighbors_of(n)
    found = {
        "limited_max_herding": (partial(herding.max_herding, budget=4, num_targets=n // 2), x),
        "limited_facility": (partial(herding.facility_location, budget=4, num_targets=n // 2), x),
        "hardness": (scores.hardness, x, floats(C, D)),
        "representativeness": (scores.representativeness, x),
        "diversity": (scores.diversity, x, ints(3)),
        "compactness": (scores.compactness, x),
        "compactness_of_rows": (lambda x, rows: scores.compactness(x, rows=rows), x, ints(3)),
        "pair_scores": (lambda z, q: scores.pair_scores(z, q, 0.5), floats(9, D), ints(9, 9)),
        "self_paced_weights": (scores.self_paced_weights, floats(n)),
        "knn": (lambda x: ops.knn(x, K), x),
        "knn_of_queries": (lambda x, y: ops.knn(x, K, queries=y), x, floats(7, D)),
        "approximate_knn": (lambda x: ops.approximate_knn(x, K, probes=2), x),
        "recall": (ops.recall, KEY, x, near),
        "kmeans": (lambda key, x: ops.kmeans(key, x, C), KEY, x),
        "spherical_kmeans": (lambda key, x: ops.spherical_kmeans(key, x, C), KEY, x),
        "squared_distances": (ops.squared_distances, x, floats(7, D)),
        "decorrelate": (graph.decorrelate_neighbors, KEY, x),
        "smooth": (lambda x, near: graph.smooth(x, near, hops=2), x, near),
        "weights_and_degrees": (graph.weights_and_degrees, near),
        "nearest_in_group": (lambda x, g: grouped.nearest_in_group(x, g, K), x, ints(n)),
        "symmetric_nearest": (lambda x: symmetric.nearest(x, K), x),
    }
    for name in selectors.names():
        select = selectors.get(name).select
        found[name] = (lambda key, i, s=select: s(key, i, cases.BUDGET), KEY, inputs_of(n))
    return found


def products(jaxpr: Any) -> Iterator:
    """The matrix products of a program and of all programs within."""
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("dot_general", "conv_general_dilated", "ragged_dot"):
            yield equation
        held = jax.tree.leaves(list(equation.params.values()), is_leaf=is_program)
        for inner in filter(is_program, held):
            yield from products(getattr(inner, "jaxpr", inner))


def is_program(value: Any) -> bool:
    return hasattr(value, "eqns")


# The larger one takes the ways that exist for many samples.
@pytest.mark.parametrize("n", [cases.N, 9000])
@pytest.mark.parametrize("name", functions(cases.N))
def test_every_product_is_in_full_float32(name, n):
    function, *arguments = functions(n)[name]
    found = list(products(jax.make_jaxpr(function)(*arguments).jaxpr))
    assert bool(found) == (name not in WITHOUT)
    for equation in found:
        assert equation.params["precision"] == HIGHEST, str(equation)


@pytest.mark.parametrize("package", ["ops", "scores", "selectors"])
def test_no_product_is_written_without_its_precision(package):
    # Tracing does not see what is decided by looking at values.
    bare = {"dot", "matmul", "einsum", "tensordot", "vdot", "inner", "dot_general"}
    found = []
    for path in (Path(idc_jax.__file__).parent / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            of_jax = (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in bare
                and ast.unparse(node.func.value) in ("jnp", "jax.numpy", "lax", "jax.lax")
                and "precision" not in {keyword.arg for keyword in node.keywords}
            )
            if of_jax or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult)):
                found.append(f"{path.name}:{node.lineno}")
    assert not found


def test_matmul_multiplies_all_shapes():
    x, y = jnp.arange(6.0).reshape(2, 3), jnp.arange(3.0)
    assert ops.matmul(x, y).tolist() == [5.0, 14.0]
    assert ops.matmul(y, x.T).tolist() == [5.0, 14.0]
    assert ops.matmul(x, x.T).shape == (2, 2)
