from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from idc_jax.data import (
    StrongOptions,
    WeakOptions,
    feature_views,
    image_views,
    pcl_views,
    view_batch,
)
from idc_jax.data.augment.cutout import cutout, random_cutout
from idc_jax.data.augment.strong import OPERATIONS, apply_operations
from idc_jax.data.augment.weak import color_jitter, random_box
from idc_jax.errors import UserError

INDEX = {name: index for index, (name, _, _) in enumerate(OPERATIONS)}


@partial(jax.jit, static_argnums=0)
def batch(view, key, raw):
    return view_batch(view, key, raw)


def raw_images(shape, count=6, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


@pytest.mark.parametrize(("shape", "size"), [((8, 8, 1), 8), ((20, 14, 3), 12)])
@pytest.mark.parametrize("kind", ["weak", "strong", "val"])
def test_views_of_images(shape, size, kind):
    view = getattr(image_views(shape, size), kind)
    raw = raw_images(shape)
    key = jax.random.key(0)
    out = batch(view, key, raw)
    assert out.shape == (len(raw), size, size, shape[2])
    assert out.dtype == jnp.float32
    assert float(out.min()) >= 0
    assert float(out.max()) <= 1
    again = batch(view, jax.random.key(1), raw)
    assert (kind == "val") == bool(jnp.array_equal(out, again))


@pytest.mark.parametrize("kind", ["weak", "strong"])
def test_jit_and_vmap_change_nothing(kind):
    view = getattr(image_views((8, 8, 3), 8), kind)
    raw = raw_images((8, 8, 3), count=3)
    key = jax.random.key(0)
    out = batch(view, key, raw)
    eager = view(jax.random.split(key, 3)[2], jnp.asarray(raw[2]))
    # Compiled sums round otherwise, which may move a value over a threshold.
    assert (np.abs(np.asarray(eager - out[2])) > 1e-4).mean() < 0.02


def test_val_of_the_same_size_is_the_image():
    raw = raw_images((9, 9, 3))[0]
    out = image_views((9, 9, 3), 9).val(jax.random.key(0), jnp.asarray(raw))
    np.testing.assert_allclose(out, raw / 255.0, atol=1e-6)


def test_digits_can_keep_their_side():
    views = image_views(
        (8, 8, 1),
        8,
        weak=WeakOptions(
            crop_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0), mirror=False, jitter=(0,) * 4
        ),
        strong=StrongOptions(mirror=False, operations=0, cutout=0.0),
    )
    raw = raw_images((8, 8, 1))
    for view in (views.weak, views.strong):
        out = batch(view, jax.random.key(3), raw)
        np.testing.assert_allclose(out, raw / 255.0, atol=1e-5)


def test_mirror_happens_half_of_the_time():
    views = image_views((8, 8, 1), 8, strong=StrongOptions(operations=0, cutout=0.0))
    raw = np.broadcast_to(raw_images((8, 8, 1))[:1], (400, 8, 8, 1))
    out = np.asarray(batch(views.strong, jax.random.key(0), raw))
    same = np.isclose(out, raw / 255.0, atol=1e-6).all(axis=(1, 2, 3))
    turned = np.isclose(out, raw[:, :, ::-1] / 255.0, atol=1e-6).all(axis=(1, 2, 3))
    assert (same | turned).all()
    assert 0.4 < turned.mean() < 0.6


OPERATE = jax.jit(apply_operations)


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3)])
def test_a_chain_of_operations_is_pillows(shape):
    # A chain in which no colour operation follows a turn is the published order exactly.
    raw = raw_images((7, 7, shape[2]))[0]
    small = Image.fromarray(raw[..., 0] if shape[2] == 1 else raw)
    image = small.resize(shape[:2], Image.Resampling.BICUBIC)
    array = np.asarray(image).reshape(shape)
    theirs = ImageOps.posterize(ImageOps.equalize(image), 5)
    theirs = ImageEnhance.Brightness(theirs).enhance(0.5).rotate(20.0)
    which = jnp.asarray([INDEX[n] for n in ("equalize", "posterize", "brightness", "rotate")])
    magnitude = jnp.asarray([0.0, 5.7, 0.5, 20.0])
    ours = OPERATE(jnp.asarray(array / 255.0, jnp.float32), which, magnitude)
    close = np.abs(np.asarray(ours) * 255 - np.asarray(theirs).reshape(shape)) <= 1.01
    assert close.mean() > 0.99


@pytest.mark.parametrize("name", list(INDEX))
def test_every_operation_can_be_drawn(name):
    _, low, high = OPERATIONS[INDEX[name]]
    waves = np.sin(np.arange(32)[:, None] / 3 + np.arange(32) / 5)[..., None] + [0, 0.3, -0.2]
    image = jnp.asarray(0.5 + 0.2 * waves, jnp.float32)
    out = OPERATE(image, jnp.asarray([INDEX[name]]), jnp.asarray([low + 0.2 * (high - low)]))
    moved = float(jnp.abs(out - image).max())
    assert (moved < 1e-6) == (name == "identity")


def test_cutout_by_hand():
    out = cutout(jnp.ones((5, 6, 1)), jnp.asarray([0, 3]), jnp.asarray(5))
    expected = np.ones((5, 6))
    expected[0:2, 1:5] = 0
    np.testing.assert_array_equal(out[..., 0], expected)
    np.testing.assert_array_equal(random_cutout(jax.random.key(0), jnp.ones((4, 4, 1)), 1), 1.0)


def test_cutout_lengths_follow_the_size():
    cut = jax.jit(jax.vmap(lambda k: random_cutout(k, jnp.ones((32, 32, 1)), round(75 / 224 * 32))))
    hidden = np.asarray(cut(jax.random.split(jax.random.key(0), 60)))[..., 0] == 0
    sides = [max(one.any(0).sum(), one.any(1).sum()) for one in hidden]
    assert max(sides) == 10
    assert min(sides) == 0


def test_boxes_stay_inside_and_have_the_area_asked_for():
    draw = jax.jit(jax.vmap(lambda k: random_box(k, 40, 60, (0.2, 0.5), (0.75, 4 / 3))))
    box = draw(jax.random.split(jax.random.key(0), 500))
    assert (np.asarray(box.top) >= 0).all()
    assert (np.asarray(box.top + box.height) <= 40).all()
    assert (np.asarray(box.left + box.width) <= 60).all()
    area = np.asarray(box.height * box.width) / 2400
    assert 0.18 < area.min() < 0.25
    assert 0.45 < area.max() < 0.53


def test_jitter_of_nothing_is_nothing():
    image = jnp.asarray(raw_images((8, 8, 3))[0] / 255.0, jnp.float32)
    jitter = jax.jit(color_jitter)
    key, strengths = jax.random.key(0), np.asarray([0.4, 0.4, 0.4, 0.1])
    np.testing.assert_allclose(jitter(key, image, 0 * strengths, 1.0), image, atol=1e-5)
    assert float(jnp.abs(jitter(key, image, strengths, 1.0) - image).max()) > 0.02
    never = jitter(key, image, strengths, 0.0)
    np.testing.assert_array_equal(never, image)


@pytest.mark.parametrize("channels", [1, 3])
def test_pcl_views_are_normalized(channels):
    views = pcl_views((16, 16, channels), 16)
    raw = jnp.full((16, 16, channels), 255, jnp.uint8)
    out = np.asarray(views.val(jax.random.key(0), raw))[0, 0]
    if channels == 3:
        np.testing.assert_allclose(out, [2.2489, 2.4286, 2.64], atol=1e-3)
    else:
        np.testing.assert_allclose(out, [(1 - 0.449) / 0.226], atol=1e-3)


@pytest.mark.parametrize(("shape", "size"), [((8, 8, 2), 8), ((8, 8), 8), ((8, 8, 3), 0)])
def test_impossible_views(shape, size):
    with pytest.raises(UserError, match="no views for images"):
        image_views(shape, size)


def test_views_of_features():
    raw = np.random.default_rng(0).normal(0, 3, (2000, 16)).astype(np.float32)
    views = feature_views(
        weak_noise=0.1, strong_noise=0.5, weak_dropout=0.0, strong_dropout=0.25, scale=0.0
    )
    key = jax.random.key(0)
    np.testing.assert_array_equal(view_batch(views.val, key, jnp.asarray(raw)), raw)
    weak = np.asarray(view_batch(views.weak, key, jnp.asarray(raw)))
    unit = np.sqrt((raw**2).mean(1, keepdims=True))
    assert 0.09 < ((weak - raw) / unit).std() < 0.11
    strong = np.asarray(view_batch(views.strong, key, jnp.asarray(raw)))
    assert 0.23 < (strong == 0).mean() < 0.27
    scaled = feature_views(
        weak_noise=0.0, strong_noise=0.0, weak_dropout=0.0, strong_dropout=0.0, scale=0.2
    )
    factor = np.asarray(view_batch(scaled.weak, key, jnp.asarray(raw))) / raw
    assert np.allclose(factor, factor[:, :1], rtol=1e-4)
    assert 0.79 < factor.min() < 0.85
    assert 1.15 < factor.max() < 1.21


def test_features_of_zeros_have_finite_views():
    views = feature_views(
        weak_noise=0.1, strong_noise=0.1, weak_dropout=0.1, strong_dropout=1.0, scale=0.1
    )
    for view in views:
        assert np.isfinite(view(jax.random.key(0), jnp.zeros(4))).all()
