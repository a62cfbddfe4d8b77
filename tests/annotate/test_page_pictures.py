"""What a sample looks like on the page."""

import json
import os
import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from idc_jax.annotate import label_questions
from idc_jax.annotate.label_studio import tasks_of
from idc_jax.annotate.page import galleries
from idc_jax.annotate.page.pictures import Pictures
from idc_jax.annotate.records import question_records
from idc_jax.data.base import Dataset
from idc_jax.data.decode import decode_file
from idc_jax.data.endings import image_endings


def pictured(inputs, names=(), kind="images"):
    inputs = np.asarray(inputs)
    return Pictures(
        Dataset("d", kind, inputs, None, (), tuple(names), np.ones(len(inputs), bool), ())
    )


def opened(rendered):
    return Image.open(BytesIO(rendered.body))


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_shown_as_they_are(channels):
    inputs = np.random.default_rng(0).integers(0, 256, (3, 5, 7, channels), dtype=np.uint8)
    shown = np.asarray(opened(pictured(inputs).render(2, False)))
    np.testing.assert_array_equal(shown, inputs[2, ..., 0] if channels == 1 else inputs[2])
    assert pictured(inputs).describe(2)["side"] == 7


def test_files_are_shown_larger_but_bounded(tmp_path):
    path = tmp_path / "photo.png"
    Image.new("RGB", (3000, 1500), (200, 10, 10)).save(path)
    inputs = np.zeros((2, 8, 8, 3), np.uint8)
    pictures = pictured(inputs, [str(path), str(tmp_path / "gone.png")])
    assert opened(pictures.render(0, True)).size == (1024, 512)
    assert opened(pictures.render(0, False)).size == (256, 128)
    assert opened(pictures.render(1, True)).size == (8, 8)
    assert pictures.describe(0)["name"] == "photo.png"
    assert pictures.describe(0)["side"] is None


def test_features_without_names_are_shown_as_a_heat_map():
    pictures = pictured(np.asarray([[1.0, -1.0, 0.0, 0.5, 0.0]]), kind="features")
    shown = np.asarray(opened(pictures.render(0, False)))
    assert shown.shape == (3, 3, 3)
    assert shown[0, 0].argmax() == 0  # the largest is red
    assert shown[0, 1].argmax() == 2  # the smallest is blue
    assert pictures.describe(0)["picture"]


def test_features_with_names_are_shown_by_name_and_neighbours():
    inputs = np.asarray([[0.0], [0.1], [5.0], [0.3], [5.1]], np.float32)
    names = ["apple", "pear", "https://example.org/car", "plum", "bus"]
    pictures = pictured(inputs, names, kind="features")
    assert pictures.describe(0, alone=True) == {
        "index": 0,
        "name": "apple",
        "picture": False,
        "side": 1,
        "link": None,
        "near": ["pear", "plum", "https://example.org/car"],
        "cut": False,
    }
    # One of many is shown small, where they would not be read.
    assert pictures.describe(0)["near"] == []
    assert pictures.describe(2)["link"] == "https://example.org/car"


def test_files_are_rendered_no_larger_than_asked_for(tmp_path):
    Image.new("RGB", (900, 300)).save(tmp_path / "wide.png")
    names = (str(tmp_path / "wide.png"),)
    data = Dataset("d", "features", np.zeros((1, 2)), None, (), names, np.ones(1, bool), ())
    assert opened(Pictures(data).render(0, True)).size == (900, 300)
    assert opened(Pictures(data, largest=300).render(0, True)).size == (300, 100)


def test_galleries_by_hand():
    probabilities = [[0.9, 0.1, 0], [0.6, 0.4, 0], [0.2, 0.8, 0], [1, 0, 0]]
    assert galleries(probabilities, 2) == [[3, 0], [2], []]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_shown_as_the_network_sees_it(tmp_path, mode):
    path = tmp_path / "ink.png"
    image = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 40, 20))
    if mode == "P":
        image.convert("LA").convert("P").save(path, transparency=0)
    else:
        image.convert(mode).save(path)
    seen = decode_file(path, 8)
    shown = np.asarray(opened(pictured(seen[None], [str(path)]).render(0, False)).resize((8, 8)))
    assert np.abs(shown.astype(int) - seen).max() < 40
    assert shown[-1].min() > 200


def test_a_name_in_no_encoding_is_shown(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    path = str(tmp_path / name)
    Image.new("RGB", (8, 8), (9, 200, 9)).save(path)
    pictures = pictured(np.zeros((2, 8, 8, 3), np.uint8), [path, name])
    assert pictures.describe(0)["name"] == "caf\ufffd.png"
    assert np.asarray(opened(pictures.render(0, False)))[4, 4, 1] > 150
    json.dumps(pictures.describe(0), ensure_ascii=False).encode()
    questions = label_questions(1, np.asarray([0, 1]), np.zeros(2))
    for record in question_records(questions, [path, name]):
        json.dumps(record, ensure_ascii=False).encode()
    json.dumps(tasks_of(questions, [path, name]), ensure_ascii=False).encode()


def levels(bits, colours):
    """A picture of 16-bit PNG whose brightest pixel takes so many ``bits``."""
    ramp = np.linspace(0, (1 << bits) - 1, 64).astype(np.uint16).reshape(8, 8)
    return np.repeat(ramp[..., None], 3, -1) if colours else ramp


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("colours", [False, True], ids=["grey", "colour"])
def test_deep_channels_are_shown_as_the_network_sees_them(tmp_path, bits, colours):
    path = tmp_path / "scan.png"
    write_deep_png(path, levels(bits, colours))
    seen = decode_file(path, 8)
    shown = np.asarray(opened(pictured(seen[None], [str(path)]).render(0, False)).convert("RGB"))
    assert np.abs(shown.astype(int) - seen).max() < 25
    assert seen.min() < 20
    assert seen.max() > 230


def write_deep_png(path, values):
    """16-bit PNG, which Pillow writes of greys alone: by the format's own chunks."""
    height, width = values.shape[:2]
    kind = 2 if values.ndim == 3 else 0
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def chunk(name, data):
        sum_ = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + sum_

    head = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)


@pytest.mark.parametrize(
    "ending", sorted(image_endings() & {".avif", ".heic", ".jp2", ".tga", ".jfif"})
)
def test_whatever_is_read_is_shown_from_its_file(tmp_path, ending):
    path = tmp_path / f"photo{ending}"
    kinds = {".jfif": "JPEG", ".heic": "HEIF", ".jp2": "JPEG2000"}
    image = Image.new("RGB", (640, 480), (200, 10, 10))
    image.save(path, kinds.get(ending))
    pictures = pictured(np.zeros((1, 8, 8, 3), np.uint8), [str(path)])
    assert opened(pictures.render(0, True)).size == (640, 480)
    assert pictures.describe(0)["side"] is None


def test_all_pixels_of_a_file_and_what_the_network_sees_of_it(tmp_path):
    path = tmp_path / "panorama.jpg"
    Image.new("RGB", (4000, 1000)).save(path)
    square = tmp_path / "square.jpg"
    Image.new("RGB", (500, 501)).save(square)
    inputs = np.full((2, 8, 8, 3), 7, np.uint8)
    pictures = pictured(inputs, [str(path), str(square)])
    assert opened(pictures.render_whole(0)).size == (4000, 1000)
    np.testing.assert_array_equal(np.asarray(opened(pictures.render_seen(0))), inputs[0])
    assert pictures.describe(0, alone=True)["cut"]
    assert not pictures.describe(0)["cut"]  # one of many
    assert not pictures.describe(1, alone=True)["cut"]
