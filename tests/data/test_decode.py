"""Images of every depth and mode as the network sees them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from files import deep_png, deep_tiff
from PIL import Image

from idc_jax.data.decode import UnreadableError, decode_bytes, decode_file, to_8_bits

# From black to white, as a ramp of 64 pixels.
RAMP = np.linspace(0, 1, 64).reshape(8, 8)
WANTED = np.rint(RAMP * 255)


def decoded(encoded: bytes) -> np.ndarray:
    return decode_bytes(encoded, 3, None)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_png_of_any_depth(bits: int, channels: int) -> None:
    values = np.rint(RAMP * ((1 << bits) - 1)).astype(np.uint16)
    deep = np.repeat(values[..., None], channels, axis=2)
    if channels in (2, 4):
        deep[..., -1] = 65535
    np.testing.assert_allclose(decoded(deep_png(deep))[..., 0], WANTED, atol=1)


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_tiff_of_any_depth(bits: int) -> None:
    values = np.rint(RAMP * ((1 << bits) - 1)).astype(np.uint16)
    grey = encoded(Image.fromarray(values), "TIFF")
    np.testing.assert_allclose(decoded(grey)[..., 0], WANTED, atol=1)
    colour = deep_tiff(np.repeat(values[..., None], 3, axis=2))
    np.testing.assert_allclose(decoded(colour)[..., 2], WANTED, atol=1)


def test_a_deep_image_keeps_its_colours_and_what_is_transparent() -> None:
    deep = np.zeros((2, 2, 4), np.uint16)
    deep[0, 0] = (4095, 0, 0, 4095)
    deep[0, 1] = (0, 2048, 0, 4095)
    np.testing.assert_array_equal(
        decoded(deep_png(deep)), [[(255, 0, 0), (0, 128, 0)], [(255,) * 3, (255,) * 3]]
    )


def test_fractions_and_other_numbers() -> None:
    for scale in (1.0, 255.0):
        values = (WANTED if scale > 1 else RAMP).astype(np.float32)
        found = decoded(encoded(Image.fromarray(values), "TIFF"))
        np.testing.assert_allclose(found[..., 0], WANTED, atol=1)
    # A height in metres, or a scanner's units, has neither a black nor a white of its own.
    np.testing.assert_allclose(to_8_bits(RAMP * 3000 - 1000), WANTED, atol=1)
    np.testing.assert_allclose(to_8_bits(np.rint(RAMP * 1e6).astype(np.int32)), WANTED, atol=1)
    assert not to_8_bits(np.zeros((2, 2), np.uint16)).any()
    np.testing.assert_array_equal(to_8_bits(np.full((2, 2), -3.0)), 0)
    nothing = np.full((2, 2), np.nan, np.float32)
    with pytest.raises(UnreadableError, match="not finite"):
        decoded(encoded(Image.fromarray(nothing), "TIFF"))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "LAB", "HSV", "I", "F"])
def test_modes(mode: str) -> None:
    kind = {"YCbCr": "JPEG", "CMYK": "JPEG", "HSV": "", "1": "PNG"}.get(mode, "TIFF")
    grey = Image.new("RGB", (9, 9), (204,) * 3)
    if mode == "HSV":
        from idc_jax.data.decode import to_rgb

        found = np.asarray(to_rgb(grey.convert("HSV")))
    elif mode == "LAB":
        found = decoded(encoded(Image.new("LAB", (9, 9), (210, 128, 128)), kind))
    else:
        image = Image.new("L", (9, 9), 204).convert(mode) if mode in "IF" else grey.convert(mode)
        found = decoded(encoded(image, kind))
    # Mode 1 has black and white alone, and dithers.
    assert found.mean() == pytest.approx(204, abs=12)


def test_a_palette_with_transparency() -> None:
    image = Image.new("P", (4, 4), 0)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((0, 0), 1)
    found = decoded(encoded(image, "PNG", transparency=0))
    np.testing.assert_array_equal(found[0, 0], (200, 100, 50))
    np.testing.assert_array_equal(found[1, 1], (255, 255, 255))


def test_the_first_picture_of_an_animation() -> None:
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue")]
    for kind in ("GIF", "PNG", "WEBP", "TIFF"):
        options = {"lossless": True} if kind == "WEBP" else {}
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        np.testing.assert_allclose(decoded(data)[4, 4], (255, 0, 0), atol=2)


def test_what_cannot_be_decoded_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = encoded(
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)), "PNG"
    )
    for data, reason in (
        (b"", "an empty file"),
        (b"hello", "no image"),
        (whole[: len(whole) // 2], "truncated"),
    ):
        with pytest.raises(UnreadableError, match=reason):
            decoded(data)
    with pytest.raises(UnreadableError, match="No such file"):
        decode_file(tmp_path / "x.png", 8)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UnreadableError, match="exceeds limit"):
        decoded(whole)
