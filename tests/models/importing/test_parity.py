"""Narrow networks of each published layout, saved by PyTorch and imported: PNG to outputs."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="parity with PyTorch needs it (pip install .[parity])")
pytest.importorskip("transformers", reason="holds the reference networks (pip install .[parity])")

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402

from idc_jax.models.importing import (  # noqa: E402
    export_safetensors,
    open_network,
    safetensors_file,
)
from tests.published_networks import cases, parity, rebuilt  # noqa: E402

# One depth of each layout; of bottlenecks, those that compile soonest.
LEFT_OUT = (
    "TCL (IDC's), ResNet-50",
    "TCL (published), ResNet-34",
    "TCL (published), ResNet-50",
    "Contrastive Clustering, ResNet-34",
    "Contrastive Clustering, ResNet-50",
    "PCL, ResNet-50",
    "ProPos, CIFAR, ResNet-34",
    "ProPos, ImageNet, ResNet-50",
)
CHOSEN = [case for case in cases.CASES if case.title not in LEFT_OUT]


@pytest.mark.parametrize("case", CHOSEN, ids=[case.title for case in CHOSEN])
def test_from_png_files_to_outputs(case, tmp_path):
    found = parity.compare(case, tmp_path, small=True)
    assert found.difference < parity.ALLOWED
    # Or it would not matter what the network is shown.
    assert found.otherwise > 100 * parity.ALLOWED


def test_what_is_left_out_is_a_case():
    assert {case.title for case in cases.CASES} >= set(LEFT_OUT)


def filled(path, side=32, **options):
    imported = open_network(path, num_clusters=5, input_shape=(side, side, 3), **options)
    blank = jax.eval_shape(imported.model.init, jax.random.key(0), jnp.zeros((1, side, side, 3)))
    variables, report = imported.fill(jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), blank))
    return imported, variables, report


def test_exported_weights_load_in_torch_and_are_the_same(tmp_path):
    network = rebuilt.randomised(rebuilt.Clustering(18, "batch_norm", 5, fc=64, width=8))
    torch.save(network.state_dict(), tmp_path / "net.pth")
    imported, variables, report = filled(tmp_path / "net.pth")
    assert report.initialised == report.dropped == ()
    exported = tmp_path / "net.safetensors"
    export_safetensors(exported, variables, imported.layout.naming)
    state = {k: torch.from_numpy(v) for k, v in safetensors_file.read(exported).items()}
    other = rebuilt.Clustering(18, "batch_norm", 5, fc=64, width=8)
    other.load_state_dict(state, strict=True)
    for name, value in network.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(other.state_dict()[name], value, rtol=0, atol=0)
    again, _, _ = filled(exported)
    assert again.layout.source == imported.layout.source == "TCL (published)"


def test_pcl_goes_on_with_its_attention_and_without_the_norm_that_nothing_uses(tmp_path):
    network = rebuilt.randomised(rebuilt.Clustering(18, "plain", 5, attention=True, width=8))
    torch.save({"net": network.state_dict()}, tmp_path / "pcl.tar")
    # What the config says of the heads is for checkpoints that have none.
    imported, _, report = filled(tmp_path / "pcl.tar", head="relu_first")
    assert (imported.layout.source, imported.model.head) == ("PCL", "plain")
    assert report.initialised == ()
    assert {name.rsplit(".", 1)[0] for name in report.dropped} == {"resnet.bn2"}


@pytest.mark.parametrize("names", ["transformers", "timm", "authors", "memory"])
def test_dinov2_under_every_name_and_at_another_size(tmp_path, names):
    network = cases.spread(cases._dinov2_registers(small=True).eval())
    network.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    published = safetensors_file.read(path)
    state = published
    if names in ("timm", "authors"):
        state = rebuilt.timm_dinov2_names(published)
    if names == "authors":
        state["register_tokens"] = state.pop("reg_token")
    if names == "memory":
        state = {name: value.numpy() for name, value in network.state_dict().items()}
    safetensors_file.write(path, state)
    imported, variables, report = filled(path, size=84)
    assert (imported.layout.source, imported.shown.size) == ("DINOv2", 84)
    assert all("mask_token" in name for name in report.dropped)
    x = np.random.default_rng(0).uniform(size=(2, 84, 84, 3)).astype(np.float32)
    outputs, _ = jax.jit(imported.model.apply, static_argnums=2)(variables, x, False)
    mean, std = (np.asarray(part, np.float32) for part in imported.shown.numbers)
    with torch.no_grad():
        theirs = network(torch.from_numpy(((x - mean) / std).transpose(0, 3, 1, 2)))
    assert parity.difference(np.asarray(outputs.embedding), theirs.pooler_output.numpy()) < 1e-4


def of_timm(network, folder):
    network.save_pretrained(folder)
    path = folder / "model.safetensors"
    safetensors_file.write(path, rebuilt.timm_dinov2_names(safetensors_file.read(path)))


def of_transformers(network, folder):
    network.save_pretrained(folder)


@pytest.mark.parametrize(
    ("make", "save"),
    [
        (cases._dinov2_registers, of_transformers),
        (cases._dinov2_registers, of_timm),
        (cases._dinov2_gated, of_transformers),
        (cases._dinov3_gated, of_transformers),
        (cases._clip_projected, of_transformers),
        (cases._siglip, of_transformers),
    ],
)
def test_exported_transformers_are_the_file_that_was_read(tmp_path, make, save):
    save(cases.spread(make(True)), tmp_path)
    path = tmp_path / "model.safetensors"
    state = safetensors_file.read(path)
    imported, variables, _ = filled(path)
    backbone = {"params": {"backbone": variables["params"]["backbone"]}}
    export_safetensors(tmp_path / "again.safetensors", backbone, imported.layout.naming)
    again = safetensors_file.read(tmp_path / "again.safetensors")
    assert set(again) == {name for name in state if "mask_token" not in name}
    for name, value in again.items():
        np.testing.assert_array_equal(value, state[name])
