"""Images made squares on the device: Pillow's numbers, to the last bit."""

import io

import jax
import numpy as np
import pytest
from PIL import Image

from idc_jax.data import Fit, image_views, load
from idc_jax.data.fit import fit_square, fitted
from idc_jax.errors import UserError


def picture(height, width, seed=0):
    """Noise, and black beside white: where kernels overshoot."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    half = height // 2
    pixels[:half] = np.where(pixels[:half] > 127, 255, 0)
    return pixels


@pytest.mark.parametrize("kernel", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("side", [32, 300])
@pytest.mark.parametrize("size", [7, 128, 224])
def test_stored_squares_are_resized_to_pillows_numbers(kernel, side, size):
    pixels = picture(side, side)
    wanted = Image.fromarray(pixels).resize((size, size), Image.Resampling[kernel.upper()])
    found = jax.jit(fitted, static_argnums=1)(pixels, Fit(size, size, "stretch", kernel))
    np.testing.assert_array_equal(found, np.asarray(wanted))


@pytest.mark.parametrize("shape", [(28, 20), (20, 28), (21, 30)])
def test_the_shorter_side_and_the_middle(shape):
    pixels = picture(*shape)
    image = Image.fromarray(pixels)
    # A part of a pixel is left out: 28 by 20 becomes 44 by 32, and the middle 24 of 44 begin at 10.
    short = min(image.size)
    sides = tuple(32 if side == short else int(32 * side / short) for side in image.size)
    left, top = (round((side - 24) / 2) for side in sides)
    wanted = image.resize(sides, Image.Resampling.BICUBIC).crop((left, top, left + 24, top + 24))
    found = fitted(pixels, Fit(24, 32, "shorter", "bicubic"))
    np.testing.assert_array_equal(found, np.asarray(wanted))
    # The same out of a file.
    whole = np.asarray(fit_square(image, 32, "shorter", "bicubic"))
    np.testing.assert_array_equal(whole[4:28, 4:28], np.asarray(wanted))


def test_the_middle_of_another_shape_and_what_is_square_already():
    pixels = picture(30, 20)
    np.testing.assert_array_equal(fitted(pixels, Fit(20, 20)), pixels[5:25])
    square = Image.fromarray(pixels[5:25])
    assert fit_square(square, 20, "stretch") is square


def test_the_view_without_augmentation_is_the_fitted_image():
    pixels = picture(32, 32)
    fit = Fit(48, 64, "stretch", "bilinear")
    view = image_views((32, 32, 3), 48, val=fit).val
    found = np.asarray(view(jax.random.key(0), pixels)) * 255
    large = Image.fromarray(pixels).resize((64, 64), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(found, np.asarray(large)[8:56, 8:56], atol=1e-4)


def test_files_of_a_folder_are_fitted_as_asked(tmp_path):
    pixels = picture(20, 40)
    (tmp_path / "in").mkdir()
    Image.fromarray(pixels).save(tmp_path / "in" / "0.png")
    options = {"path": tmp_path / "in", "cache_dir": tmp_path / "cache", "image_size": 16}
    image = Image.fromarray(pixels)
    for rule, kernel in (("stretch", "bilinear"), ("shorter", "bicubic"), ("middle", "bicubic")):
        found = load("folder", **options, rule=rule, kernel=kernel).inputs[0]
        np.testing.assert_array_equal(found, np.asarray(fit_square(image, 16, rule, kernel)))
    np.testing.assert_array_equal(load("folder", **options).inputs[0], found)
    with pytest.raises(UserError, match="fitted by middle, shorter, stretch, not by 'squeeze'"):
        load("folder", **options, rule="squeeze")
    with pytest.raises(UserError, match="fitted by bilinear, bicubic, lanczos, not by 'box'"):
        load("folder", **options, kernel="box")


def test_encoded_bytes_are_fitted_as_asked():
    from idc_jax.data.decode import decode_bytes

    out = io.BytesIO()
    Image.fromarray(picture(20, 40)).save(out, "PNG")
    found = decode_bytes(out.getvalue(), 3, 16, "stretch", "bilinear")
    wanted = Image.open(io.BytesIO(out.getvalue())).resize((16, 16), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(found, np.asarray(wanted))
