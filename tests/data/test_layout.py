"""Folders as people have them: splits, classes, and whatever else lies there."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from files import locked, save

from idc_jax.data import Dataset, load
from idc_jax.data.telling import lines_of, told
from idc_jax.errors import UserError


def read(tmp_path: Path, *names: str, **options: object) -> Dataset:
    """The folder ``in`` with these images, or with whatever is there."""
    for level, name in enumerate(names):
        save(tmp_path / "in" / name, level)
    given = {"path": tmp_path / "in", "cache_dir": tmp_path / "cache", "image_size": 8} | options
    return load("folder", **given)


def said(data: Dataset) -> str:
    return "\n".join(lines_of(data))


def test_a_class_may_be_called_as_a_split_is(tmp_path: Path) -> None:
    data = read(tmp_path, "bus/1.png", "owl/1.png", "owl/2.png", "train/1.png", "train/2.png")
    assert data.class_names == ("bus", "owl", "train")
    np.testing.assert_array_equal(data.labels, [0, 1, 1, 2, 2])
    assert said(data) == ""


def test_a_class_called_as_a_split_may_have_folders(tmp_path: Path) -> None:
    data = read(tmp_path, "bus/1.png", "owl/1.png", "train/steam/1.png", "train/electric/1.png")
    assert data.class_names == ("bus", "owl", "train")


BOTH = ("{0}/cat/1.png", "{0}/dog/1.png", "{1}/cat/2.png", "{1}/dog/2.png")


def two(first: str, second: str) -> list[str]:
    return [name.format(first, second) for name in BOTH]


def test_a_split_that_was_not_asked_for_is_named(tmp_path: Path) -> None:
    data = read(tmp_path, *two("train", "val"))
    assert data.size == 2
    assert data.class_names == ("cat", "dog")
    assert "in/val (2 images of a split that was not asked for: splits=train,val" in said(data)


@pytest.mark.parametrize("splits", [("train", "val"), ("train,val",), "train, val"])
def test_splits_are_joined_as_asked(tmp_path: Path, splits: tuple[str, ...] | str) -> None:
    data = read(tmp_path, *two("train", "val"), splits=splits)
    assert data.class_names == ("cat", "dog")
    np.testing.assert_array_equal(data.labels, [0, 1, 0, 1])
    np.testing.assert_array_equal(data.train, [True, True, False, False])
    assert said(data) == ""


def test_every_image_whatever_the_folders_are(tmp_path: Path) -> None:
    names = ("train/cat/1.png", "val/1.png", "other/a/b/1.png", "1.png")
    data = read(tmp_path, *names, splits=())
    assert data.names == tuple(sorted(f"{tmp_path}/in/{name}" for name in names))
    assert data.labels is None
    assert said(data) == ""
    assert read(tmp_path, splits=(), classes=("train", "other")).class_names == ("other", "train")


def test_capital_letters_make_no_classes_of_splits(tmp_path: Path) -> None:
    data = read(tmp_path, *two("Train", "Val"))
    assert data.class_names == ("cat", "dog")
    assert "splits=Train,Val joins it" in said(data)
    assert read(tmp_path, splits=("train", "val")).size == 4


def test_a_third_folder_beside_two_splits_is_named(tmp_path: Path) -> None:
    data = read(tmp_path, *two("train", "test"), "extra/owl/1.png")
    assert data.size == 4
    assert data.class_names == ("cat", "dog")
    assert "in/extra (1 image of a split that was not asked for" in said(data)
    assert read(tmp_path, splits="train,extra").class_names == ("cat", "dog", "owl")


def test_flat_pictures_beside_two_splits_make_no_class_of_them(tmp_path: Path) -> None:
    data = read(tmp_path, *two("train", "test"), "figures/1.png", "logo.png")
    assert data.class_names == ("cat", "dog")
    assert "in/figures (1 image of a split" in said(data)
    assert "in/logo.png (not in a split)" in said(data)


def test_a_split_without_class_folders_has_no_labels(tmp_path: Path) -> None:
    data = read(tmp_path, "train/cat/1.png", "train/dog/1.png", "test/1.png", "test/2.png")
    np.testing.assert_array_equal(data.labels, [0, 1, -1, -1])
    # A limited one takes of each, and of those whose class nobody knows.
    np.testing.assert_array_equal(read(tmp_path, limit=3).labels, [0, 1, -1])


def test_flat_splits(tmp_path: Path) -> None:
    data = read(tmp_path, "train/1.png", "test/1.png")
    assert data.labels is None
    np.testing.assert_array_equal(data.train, [True, False])


def test_splits_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no split 'train': use splits=dev,val"):
        read(tmp_path, *two("dev", "val"))
    with pytest.raises(UserError, match=r"has no split 'test': use splits=dev,val"):
        read(tmp_path, splits=("val", "test"))
    with pytest.raises(UserError, match=r"not divided into splits such as 'val': it holds folders"):
        read(tmp_path, path=tmp_path / "in" / "dev", splits="val")


def test_classes_one_folder_further_down(tmp_path: Path) -> None:
    data = read(tmp_path, *[f"images/{name}/{i}.png" for name in ("cat", "dog") for i in (1, 2)])
    assert data.labels is None
    assert data.size == 4
    assert said(data) == (
        f"note: {tmp_path}/in has one class folder, images, which is not a class: name "
        f"{tmp_path}/in/images, which holds cat, dog"
    )
    assert read(tmp_path, path=tmp_path / "in" / "images").class_names == ("cat", "dog")


def test_classes_far_down(tmp_path: Path) -> None:
    data = read(tmp_path, "a/b/c/cat/1.png", "a/b/c/dog/1.png")
    assert f"name {tmp_path}/in/a/b/c, which holds cat, dog" in said(data)


def test_a_lone_class_is_none_unless_it_was_asked_for(tmp_path: Path) -> None:
    data = read(tmp_path, "cat/1.png", "cat/2.png")
    assert data.labels is None
    assert "one class folder, cat, which is not a class" in said(data)
    assert read(tmp_path, classes=("cat",)).class_names == ("cat",)


def test_folders_above_the_same_classes_are_told(tmp_path: Path) -> None:
    data = read(tmp_path, *two("2023", "2024"))
    assert data.class_names == ("2023", "2024")
    assert "each holds cat, dog: splits=2023,2024 joins them" in said(data)
    assert read(tmp_path, splits="2023,2024").class_names == ("cat", "dog")


# --- What is not read ---


def test_whatever_is_not_read_is_counted_by_kind_and_named(tmp_path: Path) -> None:
    save(tmp_path / "in" / "a" / "1.png")
    for name in (
        "a/x.txt",
        "a/y.txt",
        "b/z.TXT",
        "a/film.mp4",
        "plain",
        "b/broken.png",
        "b/no.jpg",
    ):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).touch()
    for name in ("gone.png", "away.png"):
        (tmp_path / "in" / "a" / name).symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "in" / "b" / "round.png").symlink_to("round.png")
    os.mkfifo(tmp_path / "in" / "b" / "pipe.png")
    data = read(tmp_path)
    assert data.size == 1
    line = said(data).splitlines()[-1]
    for part in (
        f"3 .txt, as {tmp_path}/in/a/x.txt (no image file)",
        f"3 .png, as {tmp_path}/in/a/away.png (a link to nothing)",
        f"1 .mp4: {tmp_path}/in/a/film.mp4 (no image file)",
        f"1 .png: {tmp_path}/in/b/broken.png (an empty file)",
        f"1 .jpg: {tmp_path}/in/b/no.jpg (an empty file)",
    ):
        assert part in line
    assert line.endswith("; and 1 more"), "six kinds are named, the file without an ending is not"
    assert len(data.skipped) == 11
    assert told(data.skipped[-1:]) == f"1 other: {tmp_path}/in/plain (no image file)"


@pytest.mark.parametrize("ending", ["jfif", "avif", "jp2", "heic", "jif", "tga", "apng"])
def test_less_common_kinds_of_images_are_read(tmp_path: Path, ending: str) -> None:
    kinds = {"jif": "JPEG", "heic": "HEIF", "apng": "PNG"}
    if ending == "heic":
        pytest.importorskip(
            "pillow_heif", reason="needs the extra idc_jax[heic]"
        ).register_heif_opener()
    save(tmp_path / "in" / "a" / f"1.{ending.upper()}", 180, format=kinds.get(ending))
    save(tmp_path / "in" / "b" / "1.png")
    data = read(tmp_path)
    np.testing.assert_allclose(data.inputs[0], 180, atol=4)
    assert data.skipped == ()


def test_kinds_that_need_something_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from idc_jax.data import endings

    monkeypatch.setattr(endings, "_heif_opened", lambda: False)
    monkeypatch.setattr(endings.features, "check", lambda feature: False)
    endings.unreadable_endings.cache_clear()
    endings.image_endings.cache_clear()
    save(tmp_path / "in" / "a" / "1.png")
    for name in ("x.heic", "y.HEIC", "z.avif", "z.jp2"):
        (tmp_path / "in" / "a" / name).touch()
    line = said(read(tmp_path))
    assert "2 .heic, as " in line
    assert "x.heic (reading it needs pip install pillow-heif)" in line
    assert "z.avif (reading it needs pip install 'pillow>=11.3')" in line
    assert "z.jp2 (this Pillow was built without JPEG 2000)" in line
    (tmp_path / "in" / "a" / "1.png").unlink()
    with pytest.raises(UserError, match=r"holds no image files.*2 \.heic, as .*pillow-heif"):
        read(tmp_path)
    monkeypatch.undo()
    endings.unreadable_endings.cache_clear()
    endings.image_endings.cache_clear()


def test_a_locked_class_folder_is_named(tmp_path: Path) -> None:
    for name in ("a/1.png", "b/1.png", "c/1.png"):
        save(tmp_path / "in" / name)
    with locked(tmp_path / "in" / "b"):
        data = read(tmp_path)
    assert data.class_names == ("a", "c")
    assert said(data) == f"left out: 1 folder: {tmp_path}/in/b (cannot be read: Permission denied)"


def test_a_file_that_was_locked_is_read_once_it_is_open(tmp_path: Path) -> None:
    for name in ("a/1.png", "b/1.png", "c/1.png"):
        save(tmp_path / "in" / name)
    (tmp_path / "cache").mkdir(mode=0o777)
    (tmp_path / "cache").chmod(0o777)
    with locked(tmp_path / "in" / "b" / "1.png"):
        data = read(tmp_path)
    assert data.size == 2
    assert "b/1.png (Permission denied)" in said(data)
    assert read(tmp_path).size == 3


@pytest.mark.parametrize("inner", ["", "a"])
def test_data_in_a_locked_folder(tmp_path: Path, inner: str) -> None:
    save(tmp_path / "in" / "a" / "1.png")
    with locked(tmp_path / "in"), pytest.raises(UserError, match="Permission denied") as caught:
        read(tmp_path, path=tmp_path / "in" / inner)
    assert "\n" not in str(caught.value)


def test_links_are_followed_and_no_folder_is_read_twice(tmp_path: Path) -> None:
    save(tmp_path / "elsewhere" / "1.png")
    save(tmp_path / "in" / "a" / "1.png")
    save(tmp_path / "in" / "b" / "1.png")
    (tmp_path / "in" / "a" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "a" / "up").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "0").symlink_to(tmp_path / "in" / "b")
    data = read(tmp_path)
    np.testing.assert_array_equal(data.labels, [0, 0, 1])
    assert f"2 folders, as {tmp_path}/in/0 (the same folder as {tmp_path}/in/b)" in said(data)


def test_names_that_are_not_utf_8_or_odd(tmp_path: Path) -> None:
    folder = tmp_path / "in" / "a"
    save(tmp_path / "in" / "b" / "1.png")
    odd = [
        b"caf\xe9.png",
        b"two\nlines.png",
        b" space.png",
        b"quote\"'.png",
        "é\u2028.png".encode(),
    ]
    for name in odd:
        save(folder / "1.png").rename(folder / os.fsdecode(name))
    (folder / os.fsdecode(b"\xff.txt")).touch()
    data = read(tmp_path)
    assert sorted(os.path.basename(os.fsencode(name)) for name in data.names[:5]) == sorted(odd)
    assert said(data) == f"left out: 1 .txt: {folder}/\ufffd.txt (no image file)"
    assert told([data.skipped[0]._replace(path="a\nb.png")]) == "1 .png: a\\nb.png (no image file)"


def test_classes_that_are_not_utf_8(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/in/caf\xe9"))
    save(folder / "1.png")
    data = read(tmp_path, "b/1.png")
    assert data.class_names == ("b", "caf\ufffd")
    with pytest.raises(UserError, match="caf\ufffd/no does not exist"):
        read(tmp_path, path=folder / "no")


def test_very_deep_folders_are_named(tmp_path: Path) -> None:
    deep = tmp_path / "in" / "a" / Path(*["x"] * 150)
    save(deep / "1.png")
    data = read(tmp_path, "a/1.png", "b/1.png")
    assert data.size == 2
    assert "more than 100 folders deep" in said(data)
