import numpy as np
import pytest
from PIL import Image

from idc_jax.data import CLASS_LISTS, Skipped, load
from idc_jax.errors import UserError

RED = (200, 30, 30)


def save(path, size=(12, 9), mode="RGB", color=RED, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).convert(mode).save(path, **options)


def read(tmp_path, **options):
    return load(
        "folder",
        **{"path": tmp_path / "in", "cache_dir": tmp_path / "c", "image_size": 8} | options,
    )


def test_classes_are_the_subfolders_by_name(tmp_path):
    for name in ("b/2.png", "a/1.jpg", "b/deep/3.webp", "b/.hidden.png", ".git/x.png", "empty/no"):
        save(tmp_path / "in" / name, format="PNG")
    (tmp_path / "in" / "b" / "notes.txt").write_text("no image")
    data = read(tmp_path)
    assert data.inputs.shape == (3, 8, 8, 3)
    np.testing.assert_array_equal(data.labels, [0, 1, 1])
    assert data.class_names == ("a", "b")
    assert [name.rsplit("/", 1)[1] for name in data.names] == ["1.jpg", "2.png", "3.webp"]
    assert data.train.all()
    left = [str(tmp_path / "in" / name) for name in ("b/notes.txt", "empty/no")]
    assert data.skipped == tuple(Skipped(path, "no image file") for path in left)


def test_a_flat_folder_has_no_labels(tmp_path):
    save(tmp_path / "in" / "1.png")
    save(tmp_path / "in" / "0.png", color=(0, 0, 255))
    data = read(tmp_path)
    assert data.labels is None
    np.testing.assert_array_equal(data.inputs[:, 0, 0], [(0, 0, 255), RED])


def test_allow_list_and_titles(tmp_path):
    for wnid in (*CLASS_LISTS["imagenet10"], "n09999999"):
        save(tmp_path / "in" / wnid / "x.png")
    data = read(tmp_path, classes="imagenet10")
    assert data.size == 10
    assert data.class_names[0] == "king penguin"
    assert read(tmp_path, classes=("n09999999",)).class_names == ("n09999999",)
    with pytest.raises(UserError, match=r"lacks 14 of 15 class folders: n02086646"):
        read(tmp_path, classes="imagenet_dogs")
    with pytest.raises(UserError, match="unknown class list 'dogs'; choose one of imagenet10"):
        read(tmp_path, classes="dogs")


def test_split_folders_fill_the_train_mask(tmp_path):
    for name in ("train/a/1.png", "train/b/1.png", "test/a/1.png", "other/c/1.png"):
        save(tmp_path / "in" / name)
    data = read(tmp_path)
    np.testing.assert_array_equal(data.train, [True, True, False])
    np.testing.assert_array_equal(data.labels, [0, 1, 0])


def test_unreadable_images_are_named(tmp_path):
    save(tmp_path / "in" / "a" / "good.png", size=(90, 90))
    save(tmp_path / "in" / "b" / "good.jpg", color=(0, 255, 0))
    save(tmp_path / "in" / "stray.png")
    whole = (tmp_path / "in" / "a" / "good.png").read_bytes()
    (tmp_path / "in" / "a" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "in" / "a" / "text.png").write_text("not an image")
    (tmp_path / "in" / "b" / "empty.jpg").touch()
    for _ in range(2):  # decoded, then from the cache
        data = read(tmp_path)
        np.testing.assert_array_equal(data.labels, [0, 1])
        np.testing.assert_array_equal(data.inputs[0, 4, 4], RED)
        skipped = [item.path.rsplit("/", 1)[1] for item in data.skipped]
        assert skipped == ["cut.png", "text.png", "empty.jpg", "stray.png"]
        assert all(item.reason for item in data.skipped)


def test_nothing_to_read(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        read(tmp_path)
    (tmp_path / "in").mkdir()
    with pytest.raises(UserError, match="holds no image files"):
        read(tmp_path)
    (tmp_path / "in" / "x.png").write_text("no")
    with pytest.raises(
        UserError, match=r"none of 1 image files can be read; the first is .*x\.png"
    ):
        read(tmp_path)
    with pytest.raises(UserError, match="needs an image size"):
        read(tmp_path, image_size=None)
    with pytest.raises(UserError, match="is not a folder"):
        read(tmp_path, path=tmp_path / "in" / "x.png")


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "CMYK", "RGBA", "I;16", "YCbCr"])
def test_modes_become_rgb(tmp_path, mode):
    ending = {"CMYK": "jpg", "YCbCr": "jpg"}.get(mode, "png")
    path = tmp_path / "in" / f"x.{ending}"
    # 204 is of the palette that mode P takes, and mode 1 has black and white alone.
    level = 255 if mode == "1" else 204
    if mode == "I;16":
        path.parent.mkdir()
        Image.fromarray(np.full((9, 9), level * 256, np.uint16)).save(path)
    else:
        save(path, mode=mode, color=(level,) * 3)
    np.testing.assert_allclose(read(tmp_path).inputs, level, atol=3)


def test_what_is_transparent_becomes_white(tmp_path):
    (tmp_path / "in").mkdir()
    Image.new("RGBA", (9, 9), (10, 20, 30, 0)).save(tmp_path / "in" / "x.png")
    assert (read(tmp_path).inputs == 255).all()


def test_the_middle_is_cut_out_and_turned_upright(tmp_path):
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 255
    wide[:5, 10:15] = (255, 0, 0)  # the top left of the middle
    (tmp_path / "in").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    Image.fromarray(wide).save(tmp_path / "in" / "a.png")
    Image.fromarray(wide).save(tmp_path / "in" / "b.png", exif=exif)
    plain, turned = read(tmp_path, image_size=10).inputs
    np.testing.assert_array_equal(plain, wide[:, 10:20])
    np.testing.assert_array_equal(turned, np.rot90(wide[:, 10:20], -1))
