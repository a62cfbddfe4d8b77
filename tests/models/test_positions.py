import jax
import jax.numpy as jnp
import numpy as np
import pytest

from idc_jax.models.positions import position_weights, resized, rotary_angles, rotated

KERNELS = ("cubic", "cubic_antialiased", "linear_antialiased")


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("sizes", [(5, 5), (5, 9), (9, 4)])
def test_rows_sum_to_one_and_the_own_size_stays(kernel, sizes):
    weights = position_weights(*sizes, kernel)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
    if sizes == (5, 5):
        np.testing.assert_allclose(weights, np.eye(5), atol=1e-7)


@pytest.mark.parametrize(
    ("kernel", "mode", "antialias"),
    [
        ("cubic", "bicubic", False),
        ("cubic_antialiased", "bicubic", True),
        ("linear_antialiased", "bilinear", True),
    ],
)
@pytest.mark.parametrize("sides", [(4, 5), (11, 7)])
def test_positions_are_interpolated_as_pytorch_does(kernel, mode, antialias, sides):
    torch = pytest.importorskip("torch", reason="the reference")
    grid = np.random.default_rng(0).normal(size=(1, 49, 3)).astype(np.float32)
    square = torch.from_numpy(grid).reshape(1, 7, 7, 3).permute(0, 3, 1, 2)
    wanted = torch.nn.functional.interpolate(
        square, size=sides, mode=mode, align_corners=False, antialias=antialias
    )
    found = resized(jnp.asarray(grid), 7, sides, kernel)
    np.testing.assert_allclose(found, wanted.permute(0, 2, 3, 1), atol=1e-5)


def test_rotation_leaves_the_first_tokens_and_every_length():
    x = jax.random.normal(jax.random.key(0), (2, 3 + 6, 2, 8))
    angles = rotary_angles((2, 3), 8, 100.0)
    assert angles.shape == (6, 8)
    out = rotated(x, angles)
    np.testing.assert_array_equal(out[:, :3], x[:, :3])
    np.testing.assert_allclose(
        jnp.linalg.norm(out, axis=-1), jnp.linalg.norm(x, axis=-1), rtol=1e-5
    )
    # Rows -0.5 and 0.5, periods 1 and 10: of the first patch the first dimension turns by -pi.
    np.testing.assert_allclose(angles[0, :2], [-np.pi, -np.pi / 10], rtol=1e-5)
    assert float(angles[0, 2]) == pytest.approx(-2 * np.pi * 2 / 3, rel=1e-5)
