import jax
import jax.numpy as jnp
import numpy as np
import pytest

from idc_jax import models
from idc_jax.models.layers import Conv


@pytest.mark.parametrize(("size", "stride", "side"), [(3, 2, 6), (5, 2, 7), (7, 1, 5)])
@pytest.mark.parametrize("padding", ["torch", "tensorflow"])
def test_shifted_depthwise_is_the_convolution(size, stride, side, padding):
    x = jax.random.normal(jax.random.key(0), (2, side, side, 3))
    options = {"padding": padding, "depthwise": True, "use_bias": True}
    slow, fast = (Conv(3, size, stride, method, **options) for method in ("xla", "matmul"))
    variables = slow.init(jax.random.key(1), x)
    np.testing.assert_allclose(fast.apply(variables, x), slow.apply(variables, x), atol=1e-5)


def test_tensorflow_padding_is_laxs_same():
    x = jax.random.normal(jax.random.key(0), (1, 6, 7, 2))
    module = Conv(4, 3, 2, "matmul", padding="tensorflow")
    variables = module.init(jax.random.key(1), x)
    want = jax.lax.conv_general_dilated(
        x, variables["params"]["kernel"], (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    np.testing.assert_allclose(module.apply(variables, x), want, atol=1e-5)


def test_stride_two_pads_both_sides_alike():
    # With torch's padding of 1 the first output of a 3x3 stride-2 sum over ones sees 2x2 pixels.
    x = jnp.ones((1, 4, 4, 1))
    variables = {"params": {"kernel": jnp.ones((3, 3, 1, 1))}}
    out = Conv(1, 3, 2, "xla").apply(variables, x)[0, :, :, 0]
    np.testing.assert_array_equal(out, [[4.0, 6.0], [6.0, 9.0]])


def test_input_is_normalised_per_channel():
    plain = models.build("mlp", num_clusters=2, input_shape=(4, 4, 2))
    mean, std = (0.5, 0.25), (2.0, 4.0)
    scaled = models.build("mlp", num_clusters=2, input_shape=(4, 4, 2), mean=mean, std=std)
    x = jax.random.uniform(jax.random.key(0), (3, 4, 4, 2))
    variables = plain.init(jax.random.key(1), x)
    want, _ = plain.apply(variables, (x - jnp.array(mean)) / jnp.array(std), False)
    got, _ = scaled.apply(variables, x, False)
    np.testing.assert_allclose(got.embedding, want.embedding, rtol=1e-5)
