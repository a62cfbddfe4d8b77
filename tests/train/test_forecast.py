"""How long a pre-training on a CPU takes is said before it begins, and only where it matters."""

import jax
import numpy as np
import pytest

from idc_jax import data, models
from idc_jax.data.residency import place
from idc_jax.train import forecast
from idc_jax.train.pretrain import PretrainOptions
from idc_jax.train.start import Start, make_begin

OPTIONS = PretrainOptions(epochs=1000, batch_size=8)


@pytest.fixture(scope="module")
def network():
    """A little network of images, its views, variables and data."""
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 1), dtype=np.uint8)
    views = data.image_views((8, 8, 1), 8)
    model = models.build(
        "resnet_small", num_clusters=2, input_shape=(8, 8, 1), width=4, embedding_dim=8
    )
    variables = model.init(jax.random.key(0), jax.numpy.zeros((2, 8, 8, 1)))
    return model, variables, views, place(images, 10**6)


@pytest.fixture
def a_second_for_all(monkeypatch):
    """A clock by which the network takes a second over whatever it is shown."""
    ticks = iter(range(10**6))
    monkeypatch.setattr(forecast.time, "perf_counter", lambda: float(next(ticks)))


@pytest.mark.usefixtures("a_second_for_all")
def test_the_hours_are_those_of_the_passes_that_are_left(network):
    # 16 of 20 samples in each epoch's two batches, each seen in two views, there and back.
    per_epoch = 16 * 6 / 20 / 3600
    assert forecast.hours(*network, OPTIONS) == pytest.approx(1000 * per_epoch)
    assert forecast.hours(*network, OPTIONS, done=750) == pytest.approx(250 * per_epoch)


@pytest.mark.usefixtures("a_second_for_all")
def test_hours_are_worth_a_line_that_says_what_else_to_do(network):
    told = forecast.warning(*network, OPTIONS._replace(epochs=10_000))
    assert told.startswith("pre-training: about 13 hours on this CPU (10,000 epochs of 20 images)")
    assert "--config.data.embed_with=auto" in told
    assert forecast.warning(*network, OPTIONS).startswith("pre-training: about 80 minutes")
    assert forecast.warning(*network, OPTIONS._replace(epochs=100)) == ""
    assert forecast.warning(*network, OPTIONS, done=1000) == ""


@pytest.mark.usefixtures("a_second_for_all")
def test_the_line_comes_before_the_training(network, tmp_path, capsys, monkeypatch):
    model, _, views, samples = network
    monkeypatch.setattr(forecast, "_WORTH_A_LINE", 0.0)
    start = Start("pretrain", OPTIONS._replace(epochs=1))
    begin = make_begin(
        start,
        model,
        views,
        samples,
        tmp_path,
        num_samples=len(samples),
        log=lambda values: None,
        progress=False,
    )
    begin(jax.random.key(0))
    assert capsys.readouterr().out.startswith("pre-training: about 0 minutes on this CPU (1 epochs")
    # What is there already is not trained again.
    begin(jax.random.key(0))
    assert capsys.readouterr().out == ""


def test_features_are_quick(network):
    model, variables, views, _ = network
    features = place(np.zeros((20, 8), np.float32), 10**6)
    assert forecast.warning(model, variables, views, features, OPTIONS) == ""
