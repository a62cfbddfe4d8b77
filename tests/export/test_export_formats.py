"""Every format: what is written, and that nothing of anybody's is lost."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest
from finished import NAMES, finish, finish_images
from PIL import Image
from pyarrow import parquet

from idc_jax.errors import UserError
from idc_jax.export import COLUMNS, FORMATS, Options, export, read_run

FOLDERS = [name for name, one in FORMATS.items() if one.pictures]


@pytest.fixture
def run(tmp_path):
    return read_run(finish_images(tmp_path))


def write(run, to, out, **options):
    return export(run, to, out, Options(**options), load_images=no_images)


def no_images():
    raise AssertionError("the images are files")


def contents(folder):
    """The files below ``folder`` that are not hidden, by their bytes."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(p.relative_to(folder)): p.read_bytes() for p in files if p.name[0] != "."}


def pixel(data):
    """Which of the six images these bytes are."""
    return [Path(path).read_bytes() for path in data.table.paths].index


def test_folders(run, tmp_path):
    write(run, "folders", tmp_path / "out", unsure=0.5)
    found = {name: pixel(run)(data) for name, data in contents(tmp_path / "out").items()}
    assert found == {
        "cats_dogs/1.png": 0,
        "cats_dogs/zwei ü.png": 3,
        "Ünïcode 猫/1.png": 1,
        "Ünïcode 猫/3.png": 4,
        "unsure (2)/zwei ü.png": 2,
        "unsure/3.png": 5,
    }


def test_two_images_of_one_name_in_one_folder(run, tmp_path):
    write(run, "folders", tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out" / "Ünïcode 猫").iterdir())
    assert names == ["1.png", "3 (2).png", "3.png"]


@pytest.mark.parametrize("links", ["hard", "soft", "copy"])
def test_links(run, tmp_path, links):
    write(run, "folders", tmp_path / "out", links=links)
    original, made = Path(run.table.paths[0]), tmp_path / "out" / "cats_dogs" / "1.png"
    assert made.is_symlink() == (links == "soft")
    assert made.samefile(original) == (links != "copy")
    assert made.read_bytes() == original.read_bytes()
    # Over its own, whatever the links.
    write(run, "folders", tmp_path / "out", links=links)
    assert original.is_file()


def test_hard_links_that_are_impossible(run, tmp_path, monkeypatch):
    def other_disk(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", other_disk)
    with pytest.raises(UserError, match=r"no hard link .* use links=soft or links=copy"):
        write(run, "folders", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos", "run"]


def test_csv(run, tmp_path):
    write(run, "csv", tmp_path / "out.csv")
    rows = list(csv.reader((tmp_path / "out.csv").read_text("utf-8").splitlines()))
    assert tuple(rows[0]) == COLUMNS
    assert rows[1][1:] == ["0", NAMES[0], "1.0", "ann; bob", NAMES[0]]
    assert rows[6] == [run.table.paths[5], "1", NAMES[1], "0.4", "", ""]


def test_parquet_says_the_same(run, tmp_path):
    write(run, "parquet", tmp_path / "out.parquet")
    table = parquet.read_table(tmp_path / "out.parquet")
    assert tuple(table.column_names) == COLUMNS
    assert [tuple(row.values()) for row in table.to_pylist()] == list(run.table.rows())


def test_parquet_without_pyarrow(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match="pip install pyarrow, or --to=csv"):
        write(run, "parquet", tmp_path / "out.parquet")


def test_hugging_face(run, tmp_path):
    write(run, "huggingface", tmp_path / "out")
    folder = tmp_path / "out" / "train"
    rows = list(csv.DictReader((folder / "metadata.csv").read_text("utf-8").splitlines()))
    assert [row["label"] for row in rows] == [run.table.names[g] for g in run.table.group]
    for row in rows:
        assert (folder / row["file_name"]).read_bytes() == Path(row["path"]).read_bytes()
    assert len({row["file_name"] for row in rows}) == 6


def test_fiftyone(run, tmp_path):
    write(run, "fiftyone", tmp_path / "out")
    content = json.loads((tmp_path / "out" / "labels.json").read_text())
    assert content["classes"] == list(NAMES)
    images = {path.stem: path for path in (tmp_path / "out" / "data").iterdir()}
    assert images.keys() == content["labels"].keys()
    for stem, label in content["labels"].items():
        assert images[stem].samefile(label["attributes"]["path"])
    assert content["labels"]["1"] == {
        "label": 0,
        "confidence": 1.0,
        "attributes": {
            "group": 0,
            "path": run.table.paths[0],
            "answered_by": "ann; bob",
            "answer": NAMES[0],
        },
    }


def test_label_studio(run, tmp_path):
    said = write(run, "label_studio", tmp_path / "out")
    assert f"DOCUMENT_ROOT={tmp_path}," in said
    tasks = json.loads((tmp_path / "out" / "tasks.json").read_text())
    for task, row in zip(tasks, run.table.rows(), strict=True):
        _, _, local = task["data"]["image"].partition("/data/local-files/?d=")
        assert str(tmp_path / unquote(local)) == row.path
        (prediction,) = task["predictions"]
        assert (prediction["score"], prediction["model_version"]) == (row.confidence, "idc_jax idc")
        assert prediction["result"][0]["value"] == {"choices": [row.name]}
    view = ElementTree.parse(tmp_path / "out" / "config.xml").getroot()
    assert [choice.get("value") for choice in view.iter("Choice")] == list(NAMES)


def test_label_studio_has_to_reach_the_images(run, tmp_path):
    write(run, "label_studio", tmp_path / "out", root=tmp_path.parent)
    task = json.loads((tmp_path / "out" / "tasks.json").read_text())[0]
    assert task["data"]["image"].endswith(f"?d={tmp_path.name}/photos/a/1.png")
    with pytest.raises(UserError, match=r"photos/b/1.png is not below root .*photos/a;"):
        write(run, "label_studio", tmp_path / "other", root=tmp_path / "photos" / "a")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("to", FOLDERS)
def test_images_that_are_no_files_become_some(tmp_path, to):
    run = read_run(finish(tmp_path / "run", data={"source": "digits"}))
    images = np.arange(6 * 4, dtype=np.uint8).reshape(6, 2, 2, 1)
    export(run, to, tmp_path / "out", load_images=lambda: images)
    found = [np.asarray(Image.open(path)) for path in sorted((tmp_path / "out").rglob("*.png"))]
    assert sorted(image.tolist() for image in found) == images[..., 0].tolist()
    # A second one over its own.
    export(run, to, tmp_path / "out", load_images=lambda: images)


def test_other_data_than_the_run_saw(tmp_path):
    run = read_run(finish(tmp_path / "run", data={"source": "digits"}))
    with pytest.raises(UserError, match="the data have 5 images now, and 6 samples in"):
        export(run, "folders", tmp_path / "out", load_images=lambda: np.zeros((5, 2, 2, 1)))


@pytest.mark.parametrize("to", FOLDERS)
def test_features_are_no_images(tmp_path, to):
    run = read_run(finish(tmp_path / "run"))
    with pytest.raises(UserError, match="features, not images; use --to=csv or --to=parquet"):
        write(run, to, tmp_path / "out")
    write(run, "csv", tmp_path / "out.csv")


@pytest.mark.parametrize("to", FORMATS)
def test_the_same_twice(run, tmp_path, to):
    out = tmp_path / "out"
    write(run, to, out)
    first = contents(tmp_path)
    write(run, to, out)
    assert contents(tmp_path) == first


@pytest.mark.parametrize("to", FORMATS)
def test_what_others_made_stays(run, tmp_path, to):
    out = tmp_path / "out"
    if to in FOLDERS:
        out.mkdir()
        (out / "mine.txt").write_text("mine")
    else:
        out.write_text("mine")
    with pytest.raises(UserError, match="no export made"):
        write(run, to, out)
    assert (out / "mine.txt" if to in FOLDERS else out).read_text() == "mine"


@pytest.mark.parametrize("to", FORMATS)
def test_a_place_that_cannot_be(run, tmp_path, to):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot write"):
        write(run, to, tmp_path / "file" / "out")
    (tmp_path / "folder").mkdir()
    wrong = tmp_path / ("file" if to in FOLDERS else "folder")
    with pytest.raises(UserError, match=r"is a file;|is a folder;"):
        write(run, to, wrong)


def test_an_export_that_somebody_worked_on_stays(run, tmp_path):
    out = tmp_path / "out"
    write(run, "folders", out)
    (out / "cats_dogs" / "1.png").rename(out / "unsure (2)" / "moved.png")
    with pytest.raises(UserError, match=r"moved\.png was changed or put there after the export"):
        write(run, "folders", out)
    assert (out / "unsure (2)" / "moved.png").is_file()


def test_an_export_that_somebody_edited_stays(run, tmp_path):
    write(run, "fiftyone", tmp_path / "out")
    labels = tmp_path / "out" / "labels.json"
    labels.write_text("corrected")
    later = (tmp_path / "out" / ".idc_jax_export.json").stat().st_mtime + 5
    os.utime(labels, (later, later))
    with pytest.raises(UserError, match=r"labels\.json was changed"):
        write(run, "fiftyone", tmp_path / "out")
    assert labels.read_text() == "corrected"


@pytest.mark.parametrize("out", ["photos/out", "photos", "photos/a/out"])
def test_not_among_the_images(run, tmp_path, out):
    with pytest.raises(UserError, match="is in the folder of the images"):
        write(run, "folders", tmp_path / out)


def test_an_image_that_is_gone(run, tmp_path):
    write(run, "folders", tmp_path / "out")
    before = contents(tmp_path / "out")
    for path in run.table.paths[:2]:
        Path(path).unlink()
    with pytest.raises(UserError, match=r"a/1\.png is not there \(and 1 more\)"):
        write(run, "folders", tmp_path / "out")
    assert contents(tmp_path / "out") == before


def test_stopped_half_way(run, tmp_path, monkeypatch):
    write(run, "folders", tmp_path / "out")
    before = contents(tmp_path)
    links = iter(range(3))

    def interrupted(*_):
        if next(links) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "link", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(run, "folders", tmp_path / "out", unsure=0.5)
    assert contents(tmp_path) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "photos", "run"]


def test_killed_half_way(run, tmp_path):
    """Nothing is at the place until all of it is, and what was left does not stay."""
    script = (
        "import os, sys, pathlib\n"
        "from idc_jax.export.destination import fresh_folder\n"
        "with fresh_folder(pathlib.Path(sys.argv[1])) as part:\n"
        "    (part / 'half').write_text('half')\n"
        "    os._exit(9)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "out")]
    assert subprocess.run(command, check=False).returncode == 9
    assert not (tmp_path / "out").exists()
    write(run, "folders", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "photos", "run"]
    assert not list((tmp_path / "out").rglob("half"))


def test_killed_while_it_replaced_another(run, tmp_path):
    write(run, "folders", tmp_path / "out")
    before = contents(tmp_path)
    (tmp_path / "out").rename(tmp_path / ".out.idc_jax-old")
    write(run, "folders", tmp_path / "out")
    assert contents(tmp_path) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "photos", "run"]


def test_another_that_cannot_be_replaced_stays(run, tmp_path, monkeypatch):
    write(run, "folders", tmp_path / "out")
    before, rename = contents(tmp_path), Path.rename

    def failing(self, target):
        if self.name == ".out.idc_jax-part":
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(UserError, match=r"cannot write .*out: Input/output error"):
        write(run, "folders", tmp_path / "out", unsure=0.5)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("to", "options", "said"),
    [
        ("zip", {}, "to is 'zip'; choose one of folders, csv, parquet, huggingface, fiftyone"),
        ("csv", {"unsure": 0.5}, "csv takes no unsure; use it with folders"),
        (
            "label_studio",
            {"links": "copy"},
            "takes no links; use it with folders or huggingface or fiftyone",
        ),
        ("folders", {"root": Path("/")}, "folders takes no root; use it with label_studio"),
        ("folders", {"links": "sym"}, "links is 'sym'; choose one of hard, soft, copy"),
        ("folders", {"unsure": 1.5}, "unsure is 1.5; it must be a confidence from 0 to 1"),
        ("folders", {"unsure": float("nan")}, "unsure is nan"),
    ],
)
def test_bad_options(run, tmp_path, to, options, said):
    with pytest.raises(UserError, match=said):
        write(run, to, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
