import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest

from idc_jax import ops, scores
from idc_jax.errors import UserError


def points(n, d=6, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def test_hardness_by_hand():
    z = jnp.array([[1.0, 0.0], [1.0, 1.0]])
    found = scores.hardness(z, jnp.array([[2.0, 0.0], [0.0, 3.0]]))
    # On an axis: 1 − 1 + 0, kept above 1e-6; between the two: 1 − s + s.
    np.testing.assert_allclose(found, [np.log(1e-6), 0.0], atol=1e-5)


def test_hardness_of_antipodes_is_finite():
    found = scores.hardness(jnp.array([[1.0, 0.0]]), jnp.array([[1.0, 0.0], [-1.0, 0.0]]))
    assert bool(jnp.isfinite(found).all())


def test_hardness_passes_over_empty_clusters():
    z = jnp.asarray(points(20))
    centers = jnp.asarray(points(3, seed=1))
    padded = jnp.concatenate([centers, jnp.zeros((2, 6))])
    np.testing.assert_array_equal(scores.hardness(z, padded), scores.hardness(z, centers))
    assert scores.hardness(z, padded[2:]).tolist() == [0.0] * 20
    assert scores.hardness(z, centers[:1]).tolist() == [0.0] * 20


def test_representativeness_against_the_definition():
    x = points(40)
    z = x / np.linalg.norm(x, axis=1, keepdims=True)
    distances2 = np.sort(((z[:, None] - z[None]) ** 2).sum(-1), axis=1)
    paper = -np.log(distances2[:, 1:6].sum(1))
    published = -np.log(distances2[:, :5].mean(1))
    np.testing.assert_allclose(scores.representativeness(x, 5), paper, rtol=1e-4)
    np.testing.assert_allclose(
        scores.representativeness(x, 5, reference=True), published, rtol=1e-4
    )


def test_representativeness_of_few_and_of_duplicates():
    assert scores.representativeness(points(1), 5).tolist() == [0.0]
    same = scores.representativeness(jnp.ones((4, 2)), 20)
    np.testing.assert_allclose(same, -np.log(1e-12), rtol=1e-5)
    with pytest.raises(UserError, match="2 neighbours given"):
        scores.representativeness(points(9), 5, neighbors=ops.knn(points(9), 2))


def test_diversity_against_the_definition():
    x = points(30)
    z = x / np.linalg.norm(x, axis=1, keepdims=True)
    expected = np.log(np.clip(1 - z @ z[[3, 7]].T, 1e-6, 2)).min(1)
    np.testing.assert_allclose(scores.diversity(x, jnp.array([3, -1, 7])), expected, atol=1e-3)
    assert scores.diversity(x, jnp.array([-1])).tolist() == [0.0] * 30
    assert scores.diversity(x, jnp.zeros((0,), int)).tolist() == [0.0] * 30


def test_self_paced_weights_by_hand():
    weights, age = scores.self_paced_weights(jnp.array([0.0, 1.0, 2.0, 4.0]), 100)
    assert float(age) == 4.0
    assert weights.tolist() == [1.0, 0.75, 0.5, 0.0]


def test_self_paced_weights_without_spread():
    weights, age = scores.self_paced_weights(jnp.array([0.0, 0.0, 3.0]), 50)
    assert float(age) == 0.0
    assert weights.tolist() == [1.0, 1.0, 0.0]


def test_compactness_by_hand():
    x = jnp.array([[0.0], [1.0], [3.0]])
    np.testing.assert_allclose(scores.compactness(x, 2), [1 / 10, 1 / 5, 1 / 13], rtol=1e-5)
    assert float(scores.compactness(x, 2, normalized=True).mean()) == pytest.approx(1.0)
    assert scores.compactness(x[:1]).tolist() == [1.0]
    assert bool(jnp.isfinite(scores.compactness(jnp.ones((5, 2)))).all())


def reference_pairs(z, other, known, rho):
    """Scores of all pairs, one by one."""
    z, other = (a / np.linalg.norm(a, axis=1, keepdims=True) for a in (z, other))
    n = len(z)
    first, second = np.zeros((n, n)), np.zeros((n, n))

    def kl(p, q):
        p, q = np.clip([p, q], 1e-3, 1 - 1e-3)
        return p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))

    for i in range(n):
        for j in range(n):
            within = z[i] @ z[j]
            first[i, j] = -abs((within + other[i] @ other[j]) / 2 - 0.2)
            q1, q2 = z[i] @ other[j], z[j] @ other[i]
            if known[i, j]:
                q1, q2 = (q1 + known[i, j] * within) / 2, (q2 + known[i, j] * within) / 2
            second[i, j] = -kl(within, q1) - kl(within, q2)
    scaled = [(m - m.min()) / (m.max() - m.min()) for m in (first, second)]
    return np.tanh(scaled[0]), (1 - rho) * scaled[1]


def test_pair_scores_against_the_definition():
    z, other = points(7), points(7, seed=1)
    known = np.zeros((7, 7), int)
    known[1, 2] = known[2, 1] = 1
    known[3, 5] = known[5, 3] = -1
    found = scores.pair_scores(z, known, 0.25, other=other)
    for a, b in zip(found, reference_pairs(z, other, known, 0.25), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-4)


def test_padding_changes_no_pair_score():
    z = points(6)
    plain = scores.pair_scores(z, jnp.zeros((6, 6)), 0.5, other=points(6, seed=1))
    padded = scores.pair_scores(
        np.concatenate([z, np.zeros((2, 6), np.float32)]),
        jnp.zeros((8, 8)),
        0.5,
        other=np.concatenate([points(6, seed=1), points(2)]),
        valid=jnp.arange(8) < 6,
    )
    for a, b in zip(plain, padded, strict=True):
        np.testing.assert_allclose(a, b[:6, :6], atol=1e-5)
        assert float(jnp.abs(b[6:]).max()) == 0.0


def test_constant_pair_scores_are_zero():
    up, hp = scores.pair_scores(jnp.ones((4, 3)), jnp.zeros((4, 4)), 0.0)
    assert up.tolist() == hp.tolist() == np.zeros((4, 4)).tolist()


def test_gradients_are_finite_and_right():
    x, centers = jnp.asarray(points(8)), jnp.asarray(points(3, seed=2))
    jax.test_util.check_grads(
        lambda x: scores.hardness(x, centers), (x,), 1, ["rev"], atol=0.05, rtol=0.05
    )
    jax.test_util.check_grads(
        lambda x: scores.representativeness(x, 3), (x,), 1, ["rev"], atol=0.05, rtol=0.05
    )
