"""Files as attackers, accidents and older versions of PyTorch write them."""

import argparse
import collections
import datetime
import io
import json
import os
import pathlib
import pickle
import struct
import sys
import types
import zipfile

import ml_dtypes
import numpy as np
import pytest

from idc_jax.errors import UserError
from idc_jax.models.importing import read_checkpoint, safetensors_file, unpickle
from idc_jax.models.importing.torch_file import LEGACY_MAGIC


class Evil:
    """Unpickled by an ordinary unpickler, it makes a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def zip_file(path, pickled, storages=(), compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled)
        for key, data in storages:
            archive.writestr(f"archive/data/{key}", data)


def tensor_pickle(offset=0, size=(2, 3), stride=(3, 1), count=6):
    """``{"w": tensor}`` as torch.save pickles it, written opcode by opcode."""
    arguments = b"".join(pickle.dumps(part, 2)[2:-1] for part in (offset, size, stride, False))
    storage = (
        b"("
        + pickle.dumps("storage", 2)[2:-1]
        + b"ctorch\nFloatStorage\n"
        + b"".join(pickle.dumps(part, 2)[2:-1] for part in ("0", "cpu", count))
        + b"tQ"
    )
    # Fresh pickles memoise from 0 each; the indices only have to exist, so they may repeat.
    return (
        b"\x80\x02}"
        + pickle.dumps("w", 2)[2:-1]
        + b"ctorch._utils\n_rebuild_tensor_v2\n("
        + storage
        + arguments
        + b"}tRs."
    )


NUMBERS = np.arange(6, dtype=np.float32)


def test_a_zip_by_hand_is_read(tmp_path):
    path = tmp_path / "a.pth"
    zip_file(path, tensor_pickle(), [("0", NUMBERS.tobytes())])
    np.testing.assert_array_equal(read_checkpoint(path)["w"], NUMBERS.reshape(2, 3))


def test_strides_are_followed(tmp_path):
    path = tmp_path / "a.pth"
    zip_file(path, tensor_pickle(size=(3, 2), stride=(1, 3)), [("0", NUMBERS.tobytes())])
    np.testing.assert_array_equal(read_checkpoint(path)["w"], NUMBERS.reshape(2, 3).T)


@pytest.mark.parametrize("kind", ["zip", "legacy", "bare"])
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path, kind):
    trap, path = tmp_path / "trap", tmp_path / "evil.tar"
    evil = pickle.dumps({"net": Evil(trap)}, 2)
    if kind == "zip":
        zip_file(path, evil)
    elif kind == "legacy":
        head = [pickle.dumps(part, 2) for part in (LEGACY_MAGIC, 1001, {})]
        path.write_bytes(b"".join(head) + evil)
    else:
        path.write_bytes(pickle.dumps(Evil(trap), 2))
    with pytest.raises(UserError, match="mkdir, which no checkpoint of weights needs: refused"):
        read_checkpoint(path)
    assert not trap.exists()
    pickle.loads(evil)
    assert trap.exists()


@pytest.mark.parametrize(
    "name", ["builtins eval", "builtins getattr", "torch.serialization load", "numpy load"]
)
def test_names_outside_the_list_are_refused(tmp_path, name):
    path = tmp_path / "evil.pth"
    module, attribute = name.split()
    zip_file(path, b"\x80\x02c" + f"{module}\n{attribute}\n".encode() + b".")
    with pytest.raises(UserError, match=f"wants to use {module}.{attribute}"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("pickled", "data", "message"),
    [
        (tensor_pickle(offset=1), NUMBERS, "reaches outside its storage of 6"),
        (tensor_pickle(offset=-1), NUMBERS, "reaches outside"),
        (tensor_pickle(size=(2, 9**9), stride=(0, 0)), NUMBERS, "larger than its storage"),
        (tensor_pickle(), NUMBERS[:4], "reaches outside its storage of 4"),
        (tensor_pickle()[:-9], NUMBERS, "damaged pickle"),
        (pickle.dumps([1, 2]), NUMBERS, "holds no state dict"),
        (pickle.dumps({"epoch": 3}), NUMBERS, "holds no state dict"),
    ],
)
def test_damaged_zips_say_so(tmp_path, pickled, data, message):
    path = tmp_path / "a.pth"
    zip_file(path, pickled, [("0", data.tobytes())])
    with pytest.raises(UserError, match=message):
        read_checkpoint(path)


def test_compressed_storages_are_refused(tmp_path):
    path = tmp_path / "bomb.pth"
    zip_file(path, tensor_pickle(), [("0", NUMBERS.tobytes())], zipfile.ZIP_DEFLATED)
    with pytest.raises(UserError, match="compressed storages"):
        read_checkpoint(path)


def test_a_cut_off_zip_and_other_files_say_so(tmp_path):
    path = tmp_path / "a.pth"
    zip_file(path, tensor_pickle(), [("0", NUMBERS.tobytes())])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="neither a file of"):
        read_checkpoint(path)
    with pytest.raises(UserError, match="no such file"):
        read_checkpoint(tmp_path / "missing.pth")
    flipped = bytearray(whole)
    flipped[whole.index(NUMBERS.tobytes())] ^= 0xFF
    path.write_bytes(flipped)
    with pytest.raises(UserError, match="damaged zip"):
        read_checkpoint(path)


@pytest.mark.parametrize("old_format", [False, True])
def test_torch_files_of_every_type_and_age(tmp_path, old_format):
    torch = pytest.importorskip("torch", reason="writes the files that are read here")
    base = torch.arange(24.0).reshape(4, 6)
    state = {
        "module.view": base[1:, ::2],
        "shared": base.t(),
        "half": base.half(),
        "bfloat": base.bfloat16(),
        "double": base.double(),
        "long": torch.arange(5),
        "bool": base > 3,
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(base + 1),
        "bn.num_batches_tracked": torch.tensor(3),
    }
    path = tmp_path / "checkpoint.tar"
    root = {"state_dict": state, "epoch": 3, "size": base.shape, "device": torch.device("cpu")}
    torch.save(root, path, _use_new_zipfile_serialization=not old_format)
    read = read_checkpoint(path)
    assert set(read) == {name.removeprefix("module.") for name in state} - {
        "bn.num_batches_tracked"
    }
    for name, value in state.items():
        if name in read or name == "module.view":
            got = read[name.removeprefix("module.")]
            np.testing.assert_array_equal(got.astype(float), value.detach().double().numpy())
    assert read["bfloat"].dtype == ml_dtypes.bfloat16


def test_safetensors_round_trip_and_the_librarys_own(tmp_path):
    library = pytest.importorskip("safetensors.numpy", reason="the format's own library")
    tensors = {
        "b": np.float32([[1, 2], [3, 4]]).T,
        "a": np.arange(3),
        "half": np.float16([0.5]),
        "scalar": np.asarray(7, np.int64),
    }
    path = tmp_path / "x.safetensors"
    safetensors_file.write(path, tensors, {"format": "pt"})
    theirs = library.load_file(path)
    library.save_file({name: np.ascontiguousarray(v) for name, v in tensors.items()}, path)
    for name, value in tensors.items():
        np.testing.assert_array_equal(theirs[name], value)
        np.testing.assert_array_equal(read_checkpoint(path)[name], value)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]},
        {"dtype": "F32", "shape": [-2], "data_offsets": [8, 0]},
        {"shape": [2]},
        [1],
    ],
)
def test_damaged_safetensors_say_so(tmp_path, entry):
    header = json.dumps({"w": entry}).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    with pytest.raises(UserError, match="damaged safetensors"):
        read_checkpoint(path)
    path.write_bytes(struct.pack("<Q", 10**9) + header)
    with pytest.raises(UserError, match="not a safetensors file, or is cut off"):
        read_checkpoint(path)


def test_a_stream_that_is_no_pickle_is_damaged():
    with pytest.raises(UserError, match="damaged pickle"):
        unpickle.load(io.BytesIO(b"\x80\x02not a pickle"))


@pytest.mark.parametrize(
    ("dtype", "message"),
    [
        ("F99", "numbers of type F99, which are not read here"),
        ("F8_E4M3", r"8-bit floats \(w is float8_e4m3fn\)"),
        ("F8_E5M2", r"8-bit floats \(w is float8_e5m2\)"),
    ],
)
def test_numbers_that_are_not_read_are_told_by_their_type(tmp_path, dtype, message):
    header = json.dumps({"w": {"dtype": dtype, "shape": [8], "data_offsets": [0, 8]}}).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    with pytest.raises(UserError, match=message) as raised:
        read_checkpoint(path)
    assert "bfloat16" in str(raised.value)


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "uint16"])
def test_types_of_torch_without_a_storage_of_their_own(tmp_path, dtype):
    torch = pytest.importorskip("torch", reason="writes the files that are read here")
    path = tmp_path / "x.pth"
    torch.save({"w": torch.arange(4).to(getattr(torch, dtype))}, path)
    if dtype == "uint16":
        np.testing.assert_array_equal(read_checkpoint(path)["w"], np.arange(4, dtype=np.uint16))
        return
    with pytest.raises(UserError, match="8-bit floats"):
        read_checkpoint(path)


class Settings(dict):
    """A record of somebody's library that is a dict."""


Settings.__module__ = "easydict"


def beside():
    """What people keep beside their weights."""
    settings = Settings(lr=0.1)
    settings.note = "x"
    return {
        "best_acc": np.float64(0.9),
        "best": np.float32(0.9),
        "curve": np.arange(3.0),
        "kind": np.dtype("float32"),
        "random": np.random.default_rng(0).bit_generator.state,
        "path": pathlib.PurePosixPath("a/b"),
        "date": datetime.datetime(2024, 5, 1),
        "counts": collections.Counter("aab"),
        "args": argparse.Namespace(lr=0.1, size=np.int64(3)),
        "settings": settings,
        "tags": {"a", ("b", frozenset("c"))},
        "z": complex(1, 2),
    }


def test_what_stands_beside_the_weights_is_no_obstacle(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch", reason="writes the files that are read here")
    module = types.ModuleType("easydict")
    module.Settings = Settings
    monkeypatch.setitem(sys.modules, "easydict", module)
    weights = {"layer.weight": torch.arange(3.0)}
    more = {"type": torch.float32, "shape": torch.Size([2]), "device": torch.device("cpu")}
    for number, root in enumerate(
        ({"net": weights}, weights, {"settings": Settings(weights)}, {"a": {"b": weights}})
    ):
        path = tmp_path / f"{number}.tar"
        torch.save(
            {**root, **{k: v for k, v in {**beside(), **more}.items() if k not in root}}, path
        )
        np.testing.assert_array_equal(read_checkpoint(path)["layer.weight"], np.arange(3.0))


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("name", list(beside()))
def test_each_of_these_is_unpickled_inertly(monkeypatch, name, protocol):
    module = types.ModuleType("easydict")
    module.Settings = Settings
    monkeypatch.setitem(sys.modules, "easydict", module)
    found = unpickle.load(pickle.dumps({"beside": beside()[name], "weight": 1}, protocol))
    assert found["weight"] == 1
    assert type(found["beside"]).__module__ not in ("numpy", "pathlib", "datetime")


def test_branches_are_found_at_any_depth_and_moments_are_left(tmp_path):
    torch = pytest.importorskip("torch", reason="writes the files that are read here")
    net = torch.nn.Linear(2, 2)
    adam = torch.optim.Adam(net.parameters())
    net(torch.ones(1, 2)).sum().backward()
    adam.step()
    path = tmp_path / "x.ckpt"
    torch.save(
        {
            "state_dict": {"backbone": net.state_dict()},
            "optimizer_states": [adam.state_dict()],
            "optimizer": adam.state_dict(),
            "lr_schedulers": {"0": {"last": torch.ones(1)}},
        },
        path,
    )
    assert set(read_checkpoint(path)) == {"weight", "bias"}
    torch.save({"model": net.state_dict(), "ema": net.state_dict(), "epoch": 1}, path)
    names = {f"{part}.{leaf}" for part in ("model", "ema") for leaf in ("weight", "bias")}
    assert set(read_checkpoint(path)) == names


def test_wrappers_leave_a_name_what_it_is(tmp_path):
    path = tmp_path / "x.safetensors"
    names = ("_orig_mod.a", "module.module.b", "net._orig_mod.module.c", "submodule.d")
    safetensors_file.write(path, dict.fromkeys(names, NUMBERS))
    assert set(read_checkpoint(path)) == {"a", "b", "net.c", "submodule.d"}


@pytest.mark.parametrize("named", ["folder", "index", "part", "part without index"])
def test_a_checkpoint_in_parts_is_read_whole(tmp_path, named):
    parts = {f"model-0000{k}-of-00003.safetensors": f"w{k}" for k in (1, 2, 3)}
    for file, name in parts.items():
        safetensors_file.write(tmp_path / file, {name: NUMBERS * int(name[1])})
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {name: file for file, name in parts.items()}}))
    path = {"folder": tmp_path, "index": index}.get(named, tmp_path / list(parts)[1])
    if named == "part without index":
        index.unlink()
    found = read_checkpoint(path)
    assert set(found) == {"w1", "w2", "w3"}
    np.testing.assert_array_equal(found["w3"], NUMBERS * 3)
    (tmp_path / list(parts)[2]).unlink()
    with pytest.raises(UserError, match=r"3 parts, of which 1 are missing .* model-00003-of-00003"):
        read_checkpoint(path)


def test_a_folder_or_an_index_without_weights_is_told(tmp_path):
    with pytest.raises(UserError, match=r"holds none of model\.safetensors"):
        read_checkpoint(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text("[]")
    with pytest.raises(UserError, match="not an index of a checkpoint's parts"):
        read_checkpoint(tmp_path)
