"""Networks of each published layout, saved by PyTorch and imported: outputs layer by layer."""

import argparse
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="parity with PyTorch needs it (pip install .[parity])")

from idc_jax import models  # noqa: E402
from idc_jax.methods.pcl.method import merge  # noqa: E402
from idc_jax.models import attention as attention_lib  # noqa: E402
from idc_jax.models.heads import Head  # noqa: E402
from idc_jax.models.importing import (  # noqa: E402
    export_safetensors,
    import_variables,
    open_network,
    read_checkpoint,
    recognise,
    safetensors_file,
)

from . import torch_networks as nets  # noqa: E402

R18, R34 = (2, 2, 2, 2), (3, 4, 6, 3)
SIDE = 48


def images(count=3, side=SIDE):
    return np.random.default_rng(0).normal(size=(count, side, side, 3)).astype(np.float32)


@partial(jax.jit, static_argnums=0)
def run_backbone(backbone, variables, x):
    """The embedding and what each block gives; compiled once for equal backbones and shapes."""
    return backbone.apply(variables, x, False, capture_intermediates=True, mutable="intermediates")


def part(variables, name):
    return {collection: tree[name] for collection, tree in variables.items() if name in tree}


def embed(module, variables, x):
    return run_backbone(module.backbone, part(variables, "backbone"), x)


def run_torch(network, x):
    with torch.no_grad():
        return network(torch.from_numpy(x.transpose(0, 3, 1, 2)))


def close(ours, theirs):
    theirs = np.asarray(theirs)
    error = np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max()
    assert error < 1e-5, error


def ours(path, side=SIDE, clusters=4):
    tensors = read_checkpoint(path)
    layout = recognise(tensors)
    module = models.build_module(
        layout.network,
        num_clusters=layout.num_clusters or clusters,
        input_shape=(side, side, layout.channels),
        stem=layout.stem,
        width=layout.width,
        embedding_dim=layout.embedding_dim,
        head=layout.head or "linear",
    )
    # Zeros in place of an initialisation: what is not imported must not matter, and compiles less.
    init = models.Model(module).init
    shapes = jax.eval_shape(init, jax.random.key(0), jnp.zeros((1, side, side, 3)))
    fresh = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes)
    variables, report = import_variables(tensors, layout, fresh)
    return module, variables, report, layout


def checkpoint(name, network):
    state = network.state_dict()
    wrapped = {f"module.{key}": value for key, value in state.items()}
    optimizer = torch.optim.Adam(network.parameters())
    return {
        "tcl_idc": {"net": state},
        "tcl": {
            "model": state,
            "optimizer": optimizer.state_dict(),
            "epoch": 3,
            "scaler": {"scale": 65536.0},
            "args": argparse.Namespace(lr=0.1, path="data"),
        },
        "cc": {"net": wrapped, "optimizer": optimizer.state_dict(), "epoch": 1000},
    }[name]


CASES = [
    # file, blocks, layout, clusters, fc, source
    ("tcl_idc", R34, "relu_first", 10, 512, "TCL (IDC's)"),
    ("tcl", R18, "batch_norm", 7, 512, "TCL (published)"),
    ("cc", R18, "plain", 20, None, "Contrastive Clustering"),
]


@pytest.mark.parametrize(("name", "blocks", "layout", "clusters", "fc", "source"), CASES)
def test_clustering_networks(tmp_path, name, blocks, layout, clusters, fc, source):
    torch.manual_seed(0)
    network = nets.randomised(nets.Clustering(blocks, layout, clusters, fc=fc))
    path = tmp_path / "checkpoint.tar"
    torch.save(checkpoint(name, network), path)
    module, variables, report, found = ours(path)
    assert (found.source, found.num_clusters, found.head) == (source, clusters, layout)
    assert report.initialised == report.dropped == ()
    x = images()
    layers = {}
    for stage in range(1, 5):
        for index, block in enumerate(getattr(network.resnet, f"layer{stage}")):
            block.register_forward_hook(
                lambda m, i, out, key=f"layer{stage}_{index}": layers.update({key: out})
            )
    wanted, instance, logits = run_torch(network, x)
    embedding, state = embed(module, variables, x)
    assert len(layers) == sum(blocks)
    for key, theirs in layers.items():
        close(state["intermediates"][key]["__call__"][0], theirs.permute(0, 2, 3, 1))
    close(embedding, wanted)
    heads = {"instance_head": module.instance_dim, "cluster_head": module.num_clusters}
    found = [
        Head(width, module.head).apply(part(variables, name), embedding, False)
        for name, width in heads.items()
    ]
    close(found[0] / jnp.linalg.norm(found[0], axis=1, keepdims=True), instance)
    close(found[1], logits)


def test_pcl_with_its_attention_and_dead_norm(tmp_path):
    torch.manual_seed(0)
    network = nets.randomised(nets.Clustering(R18, "plain", 4, attention=True))
    path = tmp_path / "pcl.tar"
    torch.save({"net": network.state_dict(), "epoch": 500}, path)
    tensors = read_checkpoint(path)
    layout = recognise(tensors)
    assert (layout.source, layout.attention) == ("PCL", True)
    plain = models.build(
        "resnet18", num_clusters=4, input_shape=(SIDE, SIDE, 3), stem="imagenet", head="plain"
    )
    model = attention_lib.with_attention(plain)
    x = images()
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.asarray(x))
    fresh = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes)
    variables, report = import_variables(tensors, layout, fresh)
    assert report.initialised == ()
    assert sorted(report.dropped) == [
        f"resnet.bn2.{leaf}" for leaf in ("bias", "running_mean", "running_var", "weight")
    ]
    outputs, _ = model.apply(variables, jnp.asarray(x), False, jnp.ones(len(x), bool))
    for mine, theirs in zip(outputs, run_torch(network, x), strict=True):
        close(mine, theirs)


def test_pcl_goes_on_with_its_own_heads_and_attention(tmp_path):
    """What the config says of the heads is for checkpoints that have none."""
    torch.manual_seed(0)
    network = nets.randomised(nets.Clustering(R18, "plain", 4, attention=True))
    path = tmp_path / "pcl.tar"
    torch.save({"net": network.state_dict()}, path)
    x = images(3, 32)
    imported = open_network(
        path, num_clusters=4, input_shape=x.shape[1:], head="relu_first", attention=True
    )
    assert imported.model.head == "plain"
    plain = jax.eval_shape(imported.model.init, jax.random.key(0), jnp.asarray(x))
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), plain)
    variables, report = imported.fill(zeros)
    assert report.initialised == ()
    model = attention_lib.with_attention(imported.model)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.asarray(x))
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, shapes)
    merged = merge(jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes), variables)
    outputs, _ = jax.jit(model.apply, static_argnums=2)(merged, jnp.asarray(x), False)
    normalised = (x - np.array(imported.layout.mean)) / np.array(imported.layout.std)
    theirs = run_torch(network, normalised.astype(np.float32))
    for mine, wanted in zip(outputs, theirs, strict=True):
        close(mine, wanted)
    # A network that does not attend has no place for it.
    left = merge(zeros, variables)
    assert jax.tree.structure(left) == jax.tree.structure(zeros)


@pytest.mark.parametrize(("stem", "bare"), [("small", False), ("imagenet", True)])
def test_propos_in_both_stems(tmp_path, stem, bare):
    torch.manual_seed(0)
    encoder = nets.randomised(nets.sequential(nets.ResNet(R18, stem=stem), stem))
    state = {f"encoder_k.{key}": value for key, value in encoder.state_dict().items()}
    state |= {f"encoder_q.{key}": value for key, value in encoder.state_dict().items()}
    state["projector_k.0.weight"] = torch.zeros(8, 512)
    path = tmp_path / "last"
    torch.save(state if bare else {"byol": state, "epoch": 1}, path)
    module, variables, report, layout = ours(path)
    assert (layout.source, layout.stem, layout.head) == ("ProPos", stem, None)
    assert {name.split("/")[1] for name in report.initialised} == {"instance_head", "cluster_head"}
    assert all(name.startswith(("encoder_q", "projector_k")) for name in report.dropped)
    x = images() if stem == "imagenet" else images(2, 16)
    close(embed(module, variables, x)[0], run_torch(encoder, x))


@pytest.mark.parametrize("names", ["torchvision", "timm"])
def test_convnext_tiny(tmp_path, names):
    torch.manual_seed(0)
    network = nets.ConvNeXtTiny().eval()
    state = network.state_dict()
    path = tmp_path / "convnext.pth"
    torch.save(state if names == "torchvision" else nets.timm_names(state), path)
    module, variables, report, layout = ours(path, 64)
    assert layout.network == "convnext_tiny"
    assert names in layout.source
    assert len(report.dropped) == 2  # the classifier
    x = images(2, 64)
    close(embed(module, variables, x)[0], run_torch(network, x))


def test_exported_weights_load_in_torch_and_give_the_same(tmp_path):
    torch.manual_seed(0)
    network = nets.randomised(nets.Clustering(R18, "batch_norm", 5, fc=512))
    path = tmp_path / "net.pth"
    torch.save(network.state_dict(), path)
    _, variables, _, layout = ours(path)
    exported = tmp_path / "net.safetensors"
    export_safetensors(exported, variables, layout.naming)
    state = {k: torch.from_numpy(v) for k, v in safetensors_file.read(exported).items()}
    other = nets.Clustering(R18, "batch_norm", 5, fc=512)
    other.load_state_dict(state, strict=True)
    for name, value in network.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(other.state_dict()[name], value, rtol=0, atol=0)
    again = read_checkpoint(exported)
    assert recognise(again).source == layout.source


def test_efficientnet_lite_with_its_padding_and_normalisation(tmp_path):
    torch.manual_seed(0)
    network = nets.randomised(nets.EfficientNetLite0())
    path = tmp_path / "lite0.pth"
    torch.save(network.state_dict(), path)
    imported = open_network(path, num_clusters=4, input_shape=(50, 50, 3))
    assert imported.layout.source == "EfficientNet-Lite0 backbone"
    x = images(2, 50)
    shapes = jax.eval_shape(imported.model.init, jax.random.key(0), jnp.asarray(x))
    variables, report = imported.fill(jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes))
    assert len(report.dropped) == 2  # the classifier
    outputs, _ = jax.jit(imported.model.apply, static_argnums=2)(variables, x, False)
    close(outputs.embedding, run_torch(network, (x * 255 - 127) / 128))


@pytest.mark.parametrize("names", ["transformers", "timm"])
def test_dinov2_at_another_size_than_its_own(tmp_path, names):
    transformers = pytest.importorskip("transformers", reason="holds the reference DINOv2")
    torch.manual_seed(0)
    config = transformers.Dinov2Config(
        hidden_size=384, num_attention_heads=6, image_size=518, patch_size=14
    )
    network = transformers.Dinov2Model(config).eval()
    for name, value in network.named_parameters():
        # The defaults of 1 and 0 would hide a scale or bias in the wrong place.
        if "lambda" in name or name.endswith("bias"):
            value.data = 0.1 + 0.2 * torch.rand_like(value)
    network.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    state = safetensors_file.read(path)
    if names == "timm":
        state = nets.timm_dinov2_names(state)
        safetensors_file.write(path, state)
    imported = open_network(path, num_clusters=4, input_shape=(56, 70, 3))
    assert (imported.layout.source, imported.layout.network) == ("DINOv2", "vit_small14")
    x = np.random.default_rng(0).uniform(size=(2, 56, 70, 3)).astype(np.float32)
    shapes = jax.eval_shape(imported.model.init, jax.random.key(0), jnp.asarray(x))
    variables, report = imported.fill(jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes))
    assert all("mask_token" in name for name in report.dropped)
    outputs, _ = jax.jit(imported.model.apply, static_argnums=2)(variables, x, False)
    seen = (x - np.array(imported.layout.mean)) / np.array(imported.layout.std)
    theirs = run_torch(network, seen.astype(np.float32)).pooler_output
    close(outputs.embedding, theirs)
    backbone = {c: {"backbone": v["backbone"]} for c, v in variables.items()}
    export_safetensors(path, backbone, imported.layout.naming)
    again = read_checkpoint(path)
    assert {name for name in state if "mask_token" not in name} == set(again)
    for name, value in again.items():
        np.testing.assert_array_equal(value, state[name])
