"""Every operation against Pillow's; tolerances in grey levels (1/255) stand at each test.

Pillow rounds to uint8 after each step, so one level is the least that can be asked where values
are rounded, two where they are truncated after a rounded intermediate.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from idc_jax.data.augment import color, geometry, histogram
from idc_jax.data.augment.resample import Box, crop_resize, resize

ROUNDED = 1.01
SHAPES = [(17, 23, 3), (28, 28, 1), (8, 8, 1), (32, 32, 3)]


def picture(shape, seed=0):
    """Smooth waves and some noise: neither flat nor white."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    waves = [np.sin(x / (3 + c) + y / (5 - c) + c) for c in range(shape[2])]
    noisy = 120 + 80 * np.stack(waves, -1) + rng.normal(0, 12, shape)
    return noisy.clip(0, 255).astype(np.uint8)


def to_pil(array):
    return Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)


def from_pil(image):
    array = np.asarray(image)
    return array[..., None] if array.ndim == 2 else array


def levels_of(ours, array, *args):
    floats = jnp.asarray(array, jnp.float32) / 255
    return np.asarray(jax.jit(ours)(floats, *args)) * 255


def assert_close(ours, theirs, tolerance):
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs.astype(np.float32), atol=tolerance)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("factor", [0.05, 0.5, 0.95, 1.0, 1.4])
@pytest.mark.parametrize(
    ("ours", "enhance"),
    [
        (color.brightness, ImageEnhance.Brightness),
        (color.contrast, ImageEnhance.Contrast),
        (color.saturation, ImageEnhance.Color),
        (color.sharpness, ImageEnhance.Sharpness),
    ],
)
def test_enhancements(shape, factor, ours, enhance):
    array = picture(shape)
    theirs = from_pil(enhance(to_pil(array)).enhance(factor))
    # Rounded mean or filter first, then a truncated blend.
    assert_close(levels_of(ours, array, factor), theirs, 2.0)


@pytest.mark.parametrize("shape", SHAPES)
def test_autocontrast(shape):
    array = picture(shape)
    theirs = from_pil(ImageOps.autocontrast(to_pil(array)))
    assert_close(levels_of(histogram.autocontrast, array), theirs, ROUNDED)


@pytest.mark.parametrize("shape", SHAPES)
def test_equalize_is_exact(shape):
    array = picture(shape)
    theirs = from_pil(ImageOps.equalize(to_pil(array)))
    assert_close(levels_of(histogram.equalize, array), theirs, 1e-3)


@pytest.mark.parametrize("op", [histogram.autocontrast, histogram.equalize])
def test_a_flat_image_stays(op):
    array = np.full((6, 6, 3), 90, np.uint8)
    assert_close(levels_of(op, array), array, 1e-3)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("threshold", [0, 100, 128, 256])
def test_solarize_is_exact(shape, threshold):
    array = picture(shape)
    theirs = from_pil(ImageOps.solarize(to_pil(array), threshold))
    assert_close(levels_of(color.solarize, array, threshold), theirs, 1e-3)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bits", [1, 4, 5, 7, 8])
def test_posterize_is_exact(shape, bits):
    array = picture(shape)
    theirs = from_pil(ImageOps.posterize(to_pil(array), bits))
    assert_close(levels_of(color.posterize, array, bits), theirs, 1e-3)


@pytest.mark.parametrize("shape", SHAPES)
def test_smooth_gray_invert_and_mirror(shape):
    array = picture(shape)
    image = to_pil(array)
    assert_close(levels_of(color.smooth, array), from_pil(image.filter(ImageFilter.SMOOTH)), 1.01)
    gray = np.broadcast_to(from_pil(image.convert("L")), shape)
    assert_close(levels_of(color.grayscale, array), gray, ROUNDED)
    assert_close(levels_of(color.invert, array), from_pil(ImageOps.invert(image)), 1e-3)
    assert_close(levels_of(geometry.mirror, array), from_pil(ImageOps.mirror(image)), 1e-3)


def test_hue_is_a_turn_in_hsv():
    array = picture((17, 23, 3))
    theirs = np.asarray(Image.fromarray(array).convert("HSV")).copy()
    theirs[..., 0] += 25  # uint8 arithmetic wraps, as hue does
    theirs = np.asarray(Image.fromarray(theirs, "HSV").convert("RGB"))
    # Pillow keeps hue and saturation in 8 bits, which costs a few levels.
    assert_close(levels_of(color.hue, array, 25 / 255), theirs, 5.0)
    np.testing.assert_allclose(levels_of(color.hue, array, 0.0), array, atol=0.01)
    np.testing.assert_allclose(levels_of(color.hue, array, 1.0), array, atol=0.05)


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (17, 17, 3)])
@pytest.mark.parametrize("amount", [-30.0, -7.3, 12.0, 29.9])
def test_rotation(shape, amount):
    array = picture(shape)
    matrix = geometry.rotation(amount, *shape[:2])
    agree(levels_of(geometry.warp, array, matrix), from_pil(to_pil(array).rotate(amount)))


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (17, 23, 3)])
@pytest.mark.parametrize("amount", [-0.1, 0.037, 0.1])
def test_shears_and_translations(shape, amount):
    array, image = picture(shape), to_pil(picture(shape))
    shift = amount * 31
    for matrix in (
        geometry.shear_x(amount),
        geometry.shear_y(amount),
        geometry.translation(shift, 0.0),
        geometry.translation(0.0, shift),
    ):
        coefficients = tuple(np.asarray(matrix)[:2].ravel().tolist())
        theirs = image.transform(image.size, Image.Transform.AFFINE, coefficients)
        agree(levels_of(geometry.warp, array, matrix), from_pil(theirs))


def agree(ours, theirs):
    """All but the pixels whose position falls on a border between two are the same."""
    assert (np.abs(ours - theirs) < 1e-2).mean() > 0.99


def test_maps_compose_as_their_warps_do():
    array = picture((32, 32, 3))
    left, up = geometry.translation(3.0, 0.0), geometry.translation(0.0, -2.0)
    once = levels_of(geometry.warp, array, left @ up)
    twice = levels_of(lambda x: geometry.warp(geometry.warp(x, left), up), array)
    np.testing.assert_array_equal(once, twice)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [8, 20, 40])
@pytest.mark.parametrize("kernel", ["bilinear", "bicubic"])
def test_resize(shape, size, kernel):
    array = picture(shape)
    theirs = from_pil(to_pil(array).resize((size, size), Image.Resampling[kernel.upper()]))
    # Pillow rounds between its two passes.
    assert_close(levels_of(lambda x: resize(x, size, kernel), array), theirs, 1.6)


@pytest.mark.parametrize("kernel", ["bilinear", "bicubic"])
@pytest.mark.parametrize("box", [(0, 0, 17, 23), (2, 5, 9, 12), (16, 22, 1, 1), (3, 0, 14, 2)])
def test_crop_and_mirror(kernel, box):
    array = picture((17, 23, 3))
    top, left, height, width = box
    cut = to_pil(array).crop((left, top, left + width, top + height))
    theirs = from_pil(cut.resize((12, 12), Image.Resampling[kernel.upper()]))
    where = Box(*(jnp.float32(value) for value in box))
    ours = levels_of(lambda x: crop_resize(x, where, 12, kernel), array)
    assert_close(ours, theirs, 1.6)
    mirrored = levels_of(lambda x: crop_resize(x, where, 12, kernel, True), array)
    np.testing.assert_allclose(mirrored, ours[:, ::-1], atol=1e-4)
