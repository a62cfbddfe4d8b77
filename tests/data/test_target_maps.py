"""The orientations' maps."""

import numpy as np
import pytest

from idc_jax.data import CLASS_LISTS
from idc_jax.data.base import Dataset
from idc_jax.data.target_maps import TARGET_MAPS, retarget
from idc_jax.errors import UserError


def dataset(labels):
    count = 4 if labels is None else len(labels)
    return Dataset(
        name="toy",
        kind="features",
        inputs=np.zeros((count, 2), np.float32),
        labels=None if labels is None else np.asarray(labels, np.int32),
        class_names=(),
        names=(),
        train=np.ones(count, bool),
        skipped=(),
    )


@pytest.mark.parametrize("name", TARGET_MAPS)
def test_every_map_is_onto_its_names(name):
    targets, names = TARGET_MAPS[name]
    assert len(targets) == (100 if "cifar100" in name else 10)
    assert set(targets) == set(range(len(names)))


def test_personal_groups_mean_what_they_say():
    """Class ids are the alphabetical rank of CIFAR-100's fine names."""
    targets, names = TARGET_MAPS["cifar100_4_personal"]
    for fine, meaning in [
        (3, "large mammals and people"),  # bear
        (1, "other animals"),  # aquarium fish
        (0, "plants and nature"),  # apple
        (5, "man-made"),  # bed
        (2, "large mammals and people"),  # baby
        (8, "man-made"),  # bicycle
    ]:
        assert names[targets[fine]] == meaning


def test_retarget_maps_labels_and_keeps_the_unknown():
    got = retarget(dataset([0, 9, 2, -1]), "cifar10_2_default")
    np.testing.assert_array_equal(got.labels, [0, 0, 1, -1])
    assert got.class_names == ("vehicles", "animals")
    assert got.inputs.shape == (4, 2)


def test_imagenet_maps_go_by_sorted_wnids():
    wnids = list(CLASS_LISTS["imagenet10_2"])
    assert wnids == sorted(wnids)
    assert len(set(wnids)) == 10


@pytest.mark.parametrize(
    ("labels", "name", "message"),
    [
        ([0], "cifar7", "unknown target map"),
        (None, "cifar10_2_default", "has none"),
        ([10], "cifar10_2_default", "class 10"),
    ],
)
def test_what_cannot_be_mapped_is_refused(labels, name, message):
    with pytest.raises(UserError, match=message):
        retarget(dataset(labels), name)
