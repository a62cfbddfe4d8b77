"""Files as attackers, accidents and older versions of PyTorch write them."""

import io
import json
import os
import pickle
import struct
import zipfile

import flax.traverse_util
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from idc_jax import models
from idc_jax.errors import UserError
from idc_jax.models.importing import (
    export_safetensors,
    import_variables,
    open_network,
    read_checkpoint,
    recognise,
    safetensors_file,
    unpickle,
)
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
        {"dtype": "F99", "shape": [2], "data_offsets": [0, 8]},
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
    with pytest.raises(UserError, match="no safetensors file, or is cut off"):
        read_checkpoint(path)


def tiny_cc():
    """The names and shapes of Contrastive Clustering's ResNet-18, filled with zeros."""
    tensors = {"resnet.conv1.weight": np.zeros((64, 3, 7, 7), np.float32)}
    norms = {"resnet.bn1": 64}
    inputs = 64
    for stage in range(1, 5):
        width = 32 * 2**stage
        for block in range(2):
            base = f"resnet.layer{stage}.{block}"
            tensors[f"{base}.conv1.weight"] = np.zeros((width, inputs, 3, 3), np.float32)
            tensors[f"{base}.conv2.weight"] = np.zeros((width, width, 3, 3), np.float32)
            norms |= {f"{base}.bn1": width, f"{base}.bn2": width}
            if inputs != width:
                shape = (width, inputs, 1, 1)
                tensors[f"{base}.downsample.0.weight"] = np.zeros(shape, np.float32)
                norms[f"{base}.downsample.1"] = width
            inputs = width
    for name, width in norms.items():
        for leaf in ("weight", "bias", "running_mean", "running_var"):
            tensors[f"{name}.{leaf}"] = np.zeros(width, np.float32)
    for head, width in (("instance", 128), ("cluster", 10)):
        for index, outputs in ((0, 512), (2, width)):
            name = f"{head}_projector.{index}"
            tensors[f"{name}.weight"] = np.zeros((outputs, 512), np.float32)
            tensors[f"{name}.bias"] = np.zeros(outputs, np.float32)
    return tensors


def fresh_for(tensors, clusters=10):
    layout = recognise(tensors)
    model = models.build(
        layout.network,
        num_clusters=clusters,
        input_shape=(32, 32, 3),
        stem=layout.stem,
        head=layout.head,
    )
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    return layout, jax.tree.map(lambda leaf: jnp.ones(leaf.shape), shapes)


def test_everything_matches_and_what_is_left_out_is_named():
    tensors = tiny_cc()
    layout, fresh = fresh_for(tensors)
    variables, report = import_variables(tensors, layout, fresh)
    assert len(report.matched) == len(tensors)
    assert all(not leaf.any() for leaf in flax.traverse_util.flatten_dict(variables).values())
    variables, report = import_variables(
        {**tensors, "extra": np.zeros(1)}, layout, fresh, reinitialise=("cluster_head",)
    )
    assert bool(jnp.all(variables["params"]["cluster_head"]["dense_0"]["kernel"] == 1))
    assert len(report.initialised) == 4
    assert set(report.dropped) > {"extra", "cluster_projector.2.bias"}
    assert any("cluster_head" in line for line in report.lines())


def test_a_shape_mismatch_names_both_sides():
    tensors = tiny_cc()
    layout, fresh = fresh_for(tensors, clusters=20)
    message = r"cluster_projector.2.*\[10.*params/cluster_head/dense_1/.* has \[.*20"
    with pytest.raises(UserError, match=message):
        import_variables(tensors, layout, fresh)


def test_a_hole_in_the_backbone_or_a_nan_is_an_error():
    tensors = tiny_cc()
    layout, fresh = fresh_for(tensors)
    holed = {k: v for k, v in tensors.items() if k != "resnet.layer3.1.bn2.running_var"}
    with pytest.raises(UserError, match=r"lacks 1 weights .*layer3_1/bn2/var"):
        import_variables(holed, layout, fresh)
    tensors["resnet.bn1.weight"][3] = np.nan
    with pytest.raises(UserError, match=r"resnet.bn1.weight holds values that are not finite"):
        import_variables(tensors, layout, fresh)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resnet.layer1.0.conv3.weight": np.zeros((1, 1, 1, 1))}, "bottlenecks"),
        ({"resnet.layer1.2.conv1.weight": np.zeros((1, 1, 1, 1))}, r"\[3, 2, 2, 2\] blocks"),
        (None, "no known network"),
    ],
)
def test_unknown_networks_are_named(change, message):
    tensors = {"some.weight": np.zeros(1)} if change is None else {**tiny_cc(), **change}
    with pytest.raises(UserError, match=message):
        recognise(tensors)


def test_export_writes_torch_names_and_counters(tmp_path):
    tensors = tiny_cc()
    layout, fresh = fresh_for(tensors)
    path = tmp_path / "out.safetensors"
    export_safetensors(path, fresh, layout.naming)
    written = safetensors_file.read(path)
    counters = {name for name in written if name.endswith("num_batches_tracked")}
    assert set(written) - counters == set(tensors)
    assert all(written[name].shape == tensors[name].shape for name in tensors)
    assert len(counters) == sum(name.endswith("running_mean") for name in tensors)


def test_a_stream_that_is_no_pickle_is_damaged():
    with pytest.raises(UserError, match="damaged pickle"):
        unpickle.load(io.BytesIO(b"\x80\x02not a pickle"))


def test_a_network_is_built_for_the_checkpoint(tmp_path):
    path = tmp_path / "cc.safetensors"
    safetensors_file.write(path, tiny_cc())
    imported = open_network(path, num_clusters=20, input_shape=(32, 32, 3))
    assert imported.layout.source == "Contrastive Clustering"
    shapes = jax.eval_shape(imported.model.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    fresh = jax.tree.map(lambda leaf: jnp.ones(leaf.shape), shapes)
    variables, report = imported.fill(fresh)
    # Twenty clusters are wanted and ten came: that head starts afresh, the other does not.
    assert variables["params"]["cluster_head"]["dense_1"]["kernel"].shape == (512, 20)
    assert {name.split("/")[1] for name in report.initialised} == {"cluster_head"}
    with pytest.raises(UserError, match="takes 3 channels, the images have 1"):
        open_network(path, num_clusters=20, input_shape=(32, 32, 1))


def tiny_pcl():
    kinds = {"q": 1, "k": 2, "v": 3}
    weights = {kind: np.full((512, 512), value, np.float32) for kind, value in kinds.items()}
    weights["q"][3, 5] = 7
    return tiny_cc() | {f"selfAttention.linear_{k}.weight": w for k, w in weights.items()}


def filled(path, **options):
    imported = open_network(path, num_clusters=10, input_shape=(32, 32, 3), **options)
    shapes = jax.eval_shape(imported.model.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    fresh = jax.tree.map(lambda leaf: jnp.ones(leaf.shape), shapes)
    return fresh, *imported.fill(fresh)


def test_attention_is_kept_where_it_is_asked_for(tmp_path):
    path = tmp_path / "pcl.safetensors"
    safetensors_file.write(path, tiny_pcl())
    fresh, variables, report = filled(path)
    assert jax.tree.structure(variables) == jax.tree.structure(fresh)
    assert all(name.startswith("selfAttention.") for name in report.dropped)
    assert len(report.dropped) == 3
    _, variables, report = filled(path, attention=True)
    attention = variables["params"]["attention"]
    assert {name: float(layer["kernel"][0, 0]) for name, layer in attention.items()} == {
        "query": 1,
        "key": 2,
        "value": 3,
    }
    # torch's Linear is [out, in].
    assert attention["query"]["kernel"][5, 3] == 7
    assert report.dropped == report.initialised == ()


def test_asking_for_attention_where_there_is_none_changes_nothing(tmp_path):
    path = tmp_path / "cc.safetensors"
    safetensors_file.write(path, tiny_cc())
    fresh, variables, _ = filled(path, attention=True)
    assert jax.tree.structure(variables) == jax.tree.structure(fresh)


def test_half_an_attention_is_refused(tmp_path):
    path = tmp_path / "pcl.safetensors"
    tensors = tiny_pcl()
    del tensors["selfAttention.linear_k.weight"]
    safetensors_file.write(path, tensors)
    with pytest.raises(UserError, match=r"attention lacks selfAttention\.linear_k\.weight"):
        filled(path, attention=True)
