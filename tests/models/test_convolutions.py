from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from idc_jax.models.convolutions import canonical_conv, matmul_conv, xla_conv
from idc_jax.models.layers import fastest_on_cpu


@partial(jax.jit, static_argnums=(0, 1, 2))
def _with_gradients(conv, stride, padding, x, kernel):
    def loss(x, kernel):
        out = conv(x, kernel, stride, padding)
        return jnp.sum(jnp.sin(out)), out

    grads, out = jax.grad(loss, (0, 1), has_aux=True)(x, kernel)
    return out, *grads


# Odd and even sides, strides that leave pixels over, a kernel of even size and one that is hardly
# smaller than the image.
@pytest.mark.parametrize("padding", ["torch", "tensorflow"])
@pytest.mark.parametrize(
    ("size", "stride", "side"), [(3, 1, 5), (3, 2, 6), (3, 2, 5), (7, 2, 8), (2, 3, 8), (1, 2, 6)]
)
@pytest.mark.parametrize("conv", [canonical_conv, matmul_conv])
def test_values_and_gradients_are_those_of_xla(conv, size, stride, side, padding):
    x = jax.random.normal(jax.random.key(0), (2, side, side + 1, 3))
    kernel = jax.random.normal(jax.random.key(1), (size, size, 3, 4)) / size
    got = _with_gradients(conv, stride, padding, x, kernel)
    want = _with_gradients(xla_conv, stride, padding, x, kernel)
    for ours, theirs in zip(got, want, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=2e-5)


def test_every_convolution_of_a_differentiated_loop_has_the_librarys_form():
    # What is not channels-last in a loop falls back to XLA's plain nested loop on CPUs.
    def step(kernel, x):
        loss = lambda kernel, x: jnp.sum(canonical_conv(x, kernel, 1, "torch") ** 2)  # noqa: E731
        grad, moved = jax.grad(loss, (0, 1))(kernel, x)
        return kernel - grad, moved

    kernel, xs = jnp.ones((3, 3, 2, 2)), jnp.ones((3, 2, 6, 6, 2))
    text = jax.jit(lambda kernel, xs: jax.lax.scan(step, kernel, xs)).lower(kernel, xs).as_text()
    forms = [line.split("dim_numbers = ")[1] for line in text.splitlines() if "dim_numbers" in line]
    assert len(forms) == 3
    assert all(form.startswith("[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]") for form in forms)


def test_patches_are_gathered_where_they_hold_few_copies_or_much_padding():
    assert fastest_on_cpu(side=32, size=3, stride=1) == "canonical"
    assert fastest_on_cpu(side=224, size=7, stride=2) == "canonical"
    assert fastest_on_cpu(side=32, size=3, stride=2) == "matmul"
    assert fastest_on_cpu(side=32, size=1, stride=1) == "matmul"
    assert fastest_on_cpu(side=2, size=3, stride=1) == "matmul"
