"""A run that begins with somebody else's network: what it is shown, and what it keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image
from small import shrink

from configs import cifar10, imagenet10
from idc_jax import data, models
from idc_jax.errors import UserError
from idc_jax.methods import registry
from idc_jax.models.importing import Naming, export_safetensors
from idc_jax.runs import configuration
from idc_jax.runs.auto import resolve
from idc_jax.runs.parts import (
    load_dataset,
    make_network,
    make_parts,
    make_views,
    open_published,
)
from idc_jax.runs.settings import check_settings

CLUSTERS = 4


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A narrow network in the layout of Contrastive Clustering."""
    shape = (1, 64, 64, 3)
    model = models.build(
        "resnet18",
        num_clusters=CLUSTERS,
        input_shape=shape[1:],
        stem="imagenet",
        width=4,
        head="plain",
    )
    blank = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros(shape))
    path = tmp_path_factory.mktemp("network") / "checkpoint_1000.safetensors"
    variables = jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), blank)
    export_safetensors(
        path, variables, Naming("torchvision_resnet", "resnet.", "plain", "imagenet")
    )
    return path


def images(name: str, side: int) -> data.Dataset:
    pixels = np.random.default_rng(0).integers(0, 256, (6, side, side, 3), np.uint8)
    return data.Dataset(name, "images", pixels, None, (), (), np.ones(6, bool), ())


def cifar(checkpoint: Path, **views: Any) -> ConfigDict:
    config = cifar10.get_config("idc")
    config.num_clusters, config.init = CLUSTERS, str(checkpoint)
    config.views.update(views)
    return config


def test_a_network_for_large_images_is_not_shown_small_ones(checkpoint, capsys):
    config, dataset = cifar(checkpoint), images("cifar10", 32)
    imported = open_published(config, dataset)
    views, seen = make_views(config, dataset, imported)
    assert seen == (224, 224, 3)
    found = np.asarray(views.val(jax.random.key(0), dataset.inputs[0])) * 255
    large = Image.fromarray(dataset.inputs[0]).resize((224, 224), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(found, np.asarray(large), atol=1e-3)
    assert views.weak(jax.random.key(0), dataset.inputs[0]).shape == seen
    assert capsys.readouterr().out == (
        "network: Contrastive Clustering, ResNet-18 (checkpoint_1000.safetensors) at 224 px "
        "(stretched from 32 px, bilinear), values from 0 to 1\n"
    )


def test_what_is_said_wins(checkpoint, capsys):
    config, dataset = cifar(checkpoint, size=64, normalisation="cifar10"), images("cifar10", 32)
    imported = open_published(config, dataset)
    assert imported is not None
    assert make_views(config, dataset, imported)[1] == (64, 64, 3)
    assert imported.model.module.mean == (0.4914, 0.4822, 0.4465)
    told = capsys.readouterr().out
    assert "at 64 px (stretched from 32 px, bilinear), normalised (cifar10: mean 0.4914" in told
    assert told.endswith("(its authors showed it 224 px)\n")


def test_files_are_read_as_the_network_is_shown_them(checkpoint, tmp_path, capsys):
    pixels = np.random.default_rng(0).integers(0, 256, (30, 50, 3), np.uint8)
    for number, wnid in enumerate(data.CLASS_LISTS["imagenet10"]):
        (tmp_path / "in" / wnid).mkdir(parents=True)
        Image.fromarray(pixels[: 20 + number]).save(tmp_path / "in" / wnid / "0.png")
    config = imagenet10.get_config("idc")
    config.data.path, config.data.cache = str(tmp_path / "in"), str(tmp_path / "cache")
    # A network of one's own is shown the middle square at the paper's size.
    own = load_dataset(resolve(config, {}))
    assert own.inputs.shape[1:] == (224, 224, 3)
    config.init = str(checkpoint)
    found = load_dataset(resolve(config, {}))
    whole = Image.fromarray(pixels[:20]).resize((224, 224), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(found.inputs[0], np.asarray(whole))
    assert (own.inputs != found.inputs).any()
    open_published(resolve(config, {}), found)
    assert "at 224 px (stretched, bilinear), values" in capsys.readouterr().out


def test_a_network_for_images_is_not_begun_with_on_features(checkpoint):
    features = images("x", 4)._replace(kind="features", inputs=np.zeros((6, 8), np.float32))
    with pytest.raises(UserError, match="a network for images, but the data are features"):
        open_published(cifar(checkpoint), features)


@pytest.mark.parametrize(
    ("views", "message"),
    [
        (
            {"normalisation": "cifar"},
            r"views\.normalisation is 'cifar'; choose one of auto, none, imag",
        ),
        ({"size": -1}, r"views\.size is -1; it must be at least 0"),
    ],
)
def test_impossible_views_are_one_line(checkpoint, views, message):
    with pytest.raises(UserError, match=message):
        check_settings(cifar(checkpoint, **views))


def test_a_network_of_one_s_own_is_normalised_where_that_is_asked_for():
    config = cifar10.get_config("idc")
    assert make_network(config, (32, 32, 3)).module.mean == ()
    config.views.normalisation = "imagenet"
    assert make_network(config, (32, 32, 3)).module.std == (0.229, 0.224, 0.225)
    with pytest.raises(UserError, match="of 3 channels, but the network sees"):
        make_network(config, (32, 32, 1))


@pytest.mark.parametrize("method", ["pcl", "idc"])
def test_pcl_s_attention_decides_from_the_start_whatever_the_method(tmp_path, method):
    torch = pytest.importorskip("torch", reason="parity with PyTorch needs it")
    pytest.importorskip("transformers", reason="parity with PyTorch needs it")
    from tests.published_networks import cases, parity, rebuilt

    network = rebuilt.Clustering(18, "plain", CLUSTERS, attention=True, width=8)
    # Strong enough that who is in the batch matters.
    network.selfAttention.linear_q.weight.data *= 4
    network = rebuilt.randomised(network)
    torch.save({"net": network.state_dict(), "epoch": 500}, tmp_path / "pcl.tar")
    parity.draw(tmp_path / "in", ((40, 40),) * 10)
    config = shrink(configuration.get_config(method), tmp_path)
    config.init, config.data.source = str(tmp_path / "pcl.tar"), "folder"
    config.data.path, config.views.size = str(tmp_path / "in"), 32
    config.pcl_training.warmup_epochs, config.idc.head_steps = 0, 0
    config = resolve(config, {})
    dataset = load_dataset(config)
    spec = registry.get(method)
    options = {group: kind(**config[group]) for group, kind in spec.options.items()}
    built = spec.build(make_parts(config, dataset, tmp_path / "pre", lambda values: None), options)
    _, state = built.init(jax.random.key(0))
    seen = [
        cases.seen(Image.open(name), 32, kernel=cases.BILINEAR, normalised=cases.IMAGENET)
        for name in dataset.names
    ]
    with torch.no_grad():
        wanted = torch.softmax(network(torch.stack(seen))[2], dim=1).numpy()
        network.selfAttention.forward = lambda x: x
        without = torch.softmax(network(torch.stack(seen))[2], dim=1).numpy()
    np.testing.assert_allclose(state.probabilities, wanted, atol=1e-4)
    assert np.abs(without - wanted).max() > 0.01
