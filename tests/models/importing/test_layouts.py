"""Whose checkpoint it is, under whatever prefix, and what its network is shown."""

from __future__ import annotations

import json
from pathlib import Path

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.harness import tables
from idc_jax.errors import UserError
from idc_jax.models.importing import (
    export_safetensors,
    import_variables,
    open_network,
    recognise,
    safetensors_file,
)
from idc_jax.models.resnet import ResNet
from tests.published_networks import layouts

WIDTH, CLUSTERS = 8, 10
Tensors = dict[str, np.ndarray]


def resnet(prefix: str = "", *, bottleneck: bool = False, stem: int = 7) -> Tensors:
    """The names and shapes of a narrow ResNet-18 or -50, filled with zeros."""
    blocks = (3, 4, 6, 3) if bottleneck else (2, 2, 2, 2)
    tensors = {"conv1.weight": np.zeros((WIDTH, 3, stem, stem), np.float32)}
    norms = {"bn1": WIDTH}
    inputs = WIDTH
    for stage, count in enumerate(blocks):
        inner = WIDTH * 2**stage
        out = 4 * inner if bottleneck else inner
        for block in range(count):
            base = f"layer{stage + 1}.{block}"
            kernels = {"conv1": (inner, inputs, 3, 3), "conv2": (out, inner, 3, 3)}
            if bottleneck:
                kernels = {
                    "conv1": (inner, inputs, 1, 1),
                    "conv2": (inner, inner, 3, 3),
                    "conv3": (out, inner, 1, 1),
                }
            if inputs != out:
                kernels["downsample.0"] = (out, inputs, 1, 1)
            for name, shape in kernels.items():
                tensors[f"{base}.{name}.weight"] = np.zeros(shape, np.float32)
                norm = name.replace("conv", "bn").replace("downsample.0", "downsample.1")
                norms[f"{base}.{norm}"] = shape[0]
            inputs = out
    for name, width in norms.items():
        for leaf in ("weight", "bias", "running_mean", "running_var"):
            tensors[f"{name}.{leaf}"] = np.zeros(width, np.float32)
    return {prefix + name: value for name, value in tensors.items()}


def cc(**options) -> Tensors:
    """Contrastive Clustering's."""
    tensors = resnet("resnet.", **options)
    features = WIDTH * 8 * (4 if options.get("bottleneck") else 1)
    for head, width in (("instance", 128), ("cluster", CLUSTERS)):
        for index, outputs in ((0, features), (2, width)):
            name = f"{head}_projector.{index}"
            tensors[f"{name}.weight"] = np.zeros((outputs, features), np.float32)
            tensors[f"{name}.bias"] = np.zeros(outputs, np.float32)
    return tensors


def pcl() -> Tensors:
    width = WIDTH * 8
    kinds = {"q": 1, "k": 2, "v": 3}
    weights = {kind: np.full((width, width), value, np.float32) for kind, value in kinds.items()}
    weights["q"][3, 5] = 7
    return cc() | {f"selfAttention.linear_{kind}.weight": w for kind, w in weights.items()}


def opened(tensors: Tensors, folder: Path, *, clusters: int = CLUSTERS, **options):
    """The network, and fresh variables of ones for it."""
    path = folder / "x.safetensors"
    safetensors_file.write(path, tensors)
    imported = open_network(path, num_clusters=clusters, input_shape=(32, 32, 3), **options)
    blank = jax.eval_shape(imported.model.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    return imported, jax.tree.map(lambda leaf: jnp.ones(leaf.shape), blank)


def test_everything_matches_and_what_is_left_out_is_named(tmp_path):
    tensors = cc()
    imported, fresh = opened(tensors, tmp_path)
    variables, report = imported.fill(fresh)
    assert len(report.matched) == len(tensors)
    assert all(not leaf.any() for leaf in flax.traverse_util.flatten_dict(variables).values())
    variables, report = import_variables(
        {**tensors, "extra": np.zeros(1)}, imported.layout, fresh, reinitialise=("cluster_head",)
    )
    assert bool(jnp.all(variables["params"]["cluster_head"]["dense_0"]["kernel"] == 1))
    assert len(report.initialised) == 4
    assert set(report.dropped) > {"extra", "cluster_projector.2.bias"}
    assert any("cluster_head" in line for line in report.lines())


def test_a_head_for_other_clusters_starts_afresh_and_the_other_does_not(tmp_path):
    imported, fresh = opened(cc(), tmp_path, clusters=20)
    assert imported.new_head
    variables, report = imported.fill(fresh)
    head = variables["params"]["cluster_head"]["dense_1"]["kernel"]
    assert head.shape == (WIDTH * 8, 20)
    assert {name.split("/")[1] for name in report.initialised} == {"cluster_head"}
    with pytest.raises(UserError, match="takes 3 channels, the images have 1"):
        open_network(tmp_path / "x.safetensors", num_clusters=20, input_shape=(32, 32, 1))


def test_a_shape_mismatch_names_both_sides(tmp_path):
    imported, _ = opened(cc(), tmp_path)
    _, fresh = opened(cc(), tmp_path, clusters=20)
    message = r"cluster_projector.2.*\[10.*params/cluster_head/dense_1/.* has \[.*20"
    with pytest.raises(UserError, match=message):
        import_variables(cc(), imported.layout, fresh)


def test_a_hole_a_nan_or_whole_numbers_are_errors(tmp_path):
    tensors = cc()
    imported, fresh = opened(tensors, tmp_path)
    holed = {k: v for k, v in tensors.items() if k != "resnet.layer3.1.bn2.running_var"}
    with pytest.raises(UserError, match=r"lacks 1 weights .*layer3_1/bn2/var"):
        import_variables(holed, imported.layout, fresh)
    whole = {**tensors, "resnet.conv1.weight": tensors["resnet.conv1.weight"].astype(np.int8)}
    with pytest.raises(
        UserError,
        match=r"conv1.weight holds whole numbers \(int8\): quantised checkpoints are not read",
    ):
        import_variables(whole, imported.layout, fresh)
    tensors["resnet.bn1.weight"][3] = np.nan
    with pytest.raises(UserError, match=r"resnet.bn1.weight holds values that are not finite"):
        import_variables(tensors, imported.layout, fresh)


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conv3.weight": zeros(1, 1, 1, 1)}, r"\[2, 2, 2, 2\] blocks \(bottlenecks\)"),
        ({"conv2.weight": zeros(8, 1, 3, 3)}, r"inner convolutions are \[8, 1, 3, 3\].*grouped"),
        ({"conv2.weight": zeros(16, 16, 3, 3)}, r"inner .* \[16, 16, 3, 3\].*wide"),
        ({"se.fc1.weight": zeros(4, 8)}, r"1 weights .* layer1.0.se.fc1.weight .*a variant"),
        ({"conv1.bias": zeros(8)}, r"layer1.0.conv1.bias among them: a variant"),
    ],
)
def test_a_block_that_is_not_a_resnet_s_is_one_line(tmp_path, change, message):
    changed = {f"layer1.0.{name}": value for name, value in change.items()}

    def read():
        imported, fresh = opened(resnet() | changed, tmp_path)
        imported.fill(fresh)

    with pytest.raises(UserError, match=message) as raised:
        read()
    assert "\n" not in str(raised.value)


def test_outside_of_the_backbone_others_may_have_what_they_like(tmp_path):
    imported, fresh = opened(resnet() | {"queue": zeros(4), "head.0.weight": zeros(4)}, tmp_path)
    assert set(imported.fill(fresh)[1].dropped) == {"queue", "head.0.weight"}


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"some.weight": zeros(1)}, "no known network in the checkpoint; .* some.weight"),
        (resnet() | {"layer1.2.conv1.weight": zeros(1)}, r"\[3, 2, 2, 2\] blocks.*18, 34, 50"),
        (
            {k: v for k, v in resnet().items() if "layer3" not in k},
            r"\[2, 2, 0, 2\] blocks",
        ),
        ({"layer1.0.conv1.weight": zeros(1)}, r"lacks conv1\.weight"),
    ],
)
def test_unknown_networks_are_named(tensors, message):
    with pytest.raises(UserError, match=message):
        recognise(tensors)


@pytest.mark.parametrize(
    ("prefix", "copy"),
    [
        ("", None),
        ("model.", None),
        ("encoder_q.", "encoder_k."),
        ("backbone.", "backbone_momentum."),
        ("teacher.backbone.", "student.backbone."),
        ("model.", "ema."),
        ("online_network.", "target_network."),
        ("base_encoder.", "momentum_encoder."),
        ("state_dict.", "state_dict_ema."),
    ],
)
def test_a_backbone_is_found_under_any_prefix_and_its_copy_is_left(tmp_path, prefix, copy):
    tensors = resnet(prefix)
    if copy:
        tensors = resnet(copy) | tensors
    imported, fresh = opened(tensors, tmp_path)
    assert imported.layout.naming.prefix == prefix
    assert imported.layout.source == "ResNet backbone"
    _, report = imported.fill(fresh)
    assert all(name.startswith(copy) for name in report.dropped) if copy else not report.dropped
    told = imported.told(32)
    if copy:
        assert f"of its networks {prefix[:-1]} is taken, {copy[:-1]} left" in told
    else:
        assert "taken" not in told


@pytest.mark.parametrize("root", ["", "model.", "net.inner."])
def test_heads_and_attention_are_found_beside_the_backbone(tmp_path, root):
    imported, fresh = opened({root + name: value for name, value in pcl().items()}, tmp_path)
    assert imported.layout.source == "PCL"
    variables, report = imported.fill(fresh)
    assert report.initialised == report.dropped == ()
    attention = variables["params"]["attention"]
    assert {name: float(layer["kernel"][0, 0]) for name, layer in attention.items()} == {
        "query": 1,
        "key": 2,
        "value": 3,
    }
    # torch's Linear is [out, in].
    assert attention["query"]["kernel"][5, 3] == 7


def test_half_an_attention_is_refused(tmp_path):
    tensors = pcl()
    del tensors["selfAttention.linear_k.weight"]
    imported, fresh = opened(tensors, tmp_path)
    with pytest.raises(UserError, match=r"lacks 1 weights .*attention/key/kernel"):
        imported.fill(fresh)


def test_bottlenecks_are_read(tmp_path):
    imported, fresh = opened(cc(bottleneck=True), tmp_path)
    assert (imported.layout.network, imported.layout.num_clusters) == ("ResNet-50", CLUSTERS)
    assert imported.fill(fresh)[1].initialised == ()


def heads_of(kind: str) -> Tensors:
    tensors = {name: value for name, value in cc().items() if "projector" not in name}
    if kind == "IDC's":
        return tensors | {"cluster_projector.1.weight": zeros(64, 64)}
    return tensors | {"cluster_projector.0.running_mean": zeros(64)}


CIFAR10, CIFAR100, IMAGENET = 0.2023, 0.2675, 0.229


@pytest.mark.parametrize(
    ("tensors", "data_set", "size", "resize", "rule", "kernel", "deviation"),
    [
        (heads_of("IDC's"), "cifar10", 224, 224, "stretch", "bicubic", None),
        (heads_of("TCL"), "cifar10", 224, 256, "stretch", "bicubic", CIFAR10),
        (heads_of("TCL"), "cifar100/coarse_label", 224, 256, "stretch", "bicubic", CIFAR100),
        (heads_of("TCL"), "CIFAR-20", 224, 256, "stretch", "bicubic", CIFAR100),
        (heads_of("TCL"), "imagenet10", 224, 256, "stretch", "bicubic", IMAGENET),
        (cc(), "cifar10", 224, 224, "stretch", "bilinear", None),
        (pcl(), "cifar10", 128, 128, "stretch", "bilinear", IMAGENET),
        (resnet(), "cifar10", 224, 256, "shorter", "bilinear", IMAGENET),
        # A stem for small images.
        (cc(stem=3), "cifar10", 32, 32, "stretch", "bicubic", None),
    ],
)
def test_what_each_is_shown(tensors, data_set, size, resize, rule, kernel, deviation):
    shown = recognise(tensors).shown.on(data_set)
    assert shown[:4] == (size, resize, rule, kernel)
    assert shown.numbers[1][:1] == (() if deviation is None else (deviation,))


def test_a_size_and_a_normalisation_that_somebody_chose():
    shown = recognise(heads_of("TCL")).shown
    assert (shown.at(112).size, shown.at(112).resize) == (112, 128)
    assert shown.at(0) == shown
    assert shown.on("cifar10", "none").numbers == ((), ())
    with pytest.raises(
        UserError, match=r"views\.normalisation is 'cifar'; choose one of auto, none"
    ):
        shown.on("cifar10", "cifar")
    patched = shown._replace(patch=14)
    with pytest.raises(UserError, match="patches of 14 pixels: use 196 or 210"):
        patched.at(200)
    with pytest.raises(UserError, match="use 14"):
        patched.at(7)


def test_what_lies_beside_the_weights_is_heeded(tmp_path):
    path = tmp_path / "x.safetensors"
    safetensors_file.write(path, resnet())

    def shown(name, settings):
        (tmp_path / name).write_text(json.dumps(settings))
        found = open_network(path, num_clusters=2, input_shape=(8, 8, 3)).shown
        (tmp_path / name).unlink()
        return found

    told = shown(
        "preprocessor_config.json",
        {
            "size": {"shortest_edge": 320},
            "do_center_crop": True,
            "crop_size": {"height": 288, "width": 288},
            "resample": 3,
            "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.25, 0.25, 0.25],
        },
    )
    assert told[:4] == (288, 320, "shorter", "bicubic")
    assert told.numbers == ((0.5,) * 3, (0.25,) * 3)
    told = shown("preprocessor_config.json", {"size": {"height": 96, "width": 96}, "resample": 1})
    assert told[:4] == (96, 96, "stretch", "lanczos")
    # Grey levels that are not divided by 255 before they are normalised.
    told = shown(
        "preprocessor_config.json",
        {"do_rescale": False, "image_mean": [127.5] * 3, "image_std": [51.0] * 3},
    )
    np.testing.assert_allclose(told.numbers, [(0.5,) * 3, (0.2,) * 3])
    timm = {
        "input_size": [3, 240, 240],
        "crop_pct": 0.9,
        "interpolation": "bicubic",
        "mean": [0.1] * 3,
        "std": [0.2] * 3,
    }
    told = shown("config.json", {"pretrained_cfg": timm})
    assert told[:4] == (240, 266, "shorter", "bicubic")
    for settings, message in (
        ({"size": {"height": 96, "width": 64}}, "they must be square"),
        ({"resample": 0}, "asks for resampling 0; .* 2 .bilinear."),
    ):
        with pytest.raises(UserError, match=message):
            shown("preprocessor_config.json", settings)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json is damaged"):
        open_network(path, num_clusters=2, input_shape=(8, 8, 3))


def test_a_vision_transformer_of_unknown_heads_asks_for_its_config():
    tensors = {
        "embeddings.class_embedding": zeros(24),
        "pre_layrnorm.weight": zeros(24),
        "embeddings.patch_embedding.weight": zeros(24, 3, 8, 8),
    }
    with pytest.raises(UserError, match=r"24 wide; how many heads .* config\.json"):
        recognise(tensors)


def test_export_writes_torch_names_and_counters(tmp_path):
    tensors = cc()
    imported, fresh = opened(tensors, tmp_path)
    path = tmp_path / "out.safetensors"
    export_safetensors(path, fresh, imported.layout.naming)
    written = safetensors_file.read(path)
    counters = {name for name in written if name.endswith("num_batches_tracked")}
    assert set(written) - counters == set(tensors)
    assert all(written[name].shape == tensors[name].shape for name in tensors)
    assert len(counters) == sum(name.endswith("running_mean") for name in tensors)


def test_the_width_is_the_checkpoint_s(tmp_path):
    imported, _ = opened(cc(stem=3), tmp_path)
    assert imported.layout.backbone == ResNet((2, 2, 2, 2), WIDTH, "small")


def test_the_document_has_the_table_of_layouts():
    text = layouts.DOCUMENT.read_text()
    assert tables.filled(text, {"layouts": layouts.layouts()}) == text
