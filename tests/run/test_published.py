"""A method's published settings are there by name, whatever the config prefers."""

import pytest
from ml_collections import ConfigDict

from configs import base, cifar20, digits, fashion_mnist, features, image_folder
from idc_jax.errors import UserError
from idc_jax.runs.settings import check_settings

SMALL = (digits, fashion_mnist, features, image_folder)


@pytest.mark.parametrize("method", base.PUBLISHED)
@pytest.mark.parametrize("module", [*SMALL, cifar20])
def test_published_settings_win_over_the_configs(module, method: str) -> None:
    preferred, published = (flat(module.get_config(method + end)) for end in ("", "_published"))
    assert published["method"] == preferred["method"] == method
    assert base.PUBLISHED[method].items() <= published.items()
    changed = {name for name, value in published.items() if preferred[name] != value}
    assert changed <= base.PUBLISHED[method].keys()
    if module is features:
        assert changed == base.PUBLISHED[method].keys()


def test_the_committee_has_no_paper() -> None:
    config = features.get_config("graph_committee_published")
    with pytest.raises(UserError, match="method is 'graph_committee_published'"):
        check_settings(config)


def flat(config: ConfigDict) -> dict:
    names = config.to_dict()
    nested = {
        f"{group}.{name}": value
        for group, options in names.items()
        if isinstance(options, dict)
        for name, value in options.items()
    }
    return {name: value for name, value in names.items() if not isinstance(value, dict)} | nested
