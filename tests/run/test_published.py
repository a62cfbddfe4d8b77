"""A method's published settings are there by name, whatever the config prefers."""

import pytest
from ml_collections import ConfigDict

from configs import cifar20, digits, fashion_mnist, features, image_folder
from idc_jax.errors import UserError
from idc_jax.methods import registry

PUBLISHED = {spec.name: spec.published for spec in registry.specs() if spec.published is not None}
SMALL = (digits, fashion_mnist, features, image_folder)


@pytest.mark.parametrize("method", PUBLISHED)
@pytest.mark.parametrize("module", [*SMALL, cifar20])
def test_published_settings_win_over_the_configs(module, method: str) -> None:
    preferred, published = (flat(module.get_config(method + end)) for end in ("", "_published"))
    assert published["method"] == preferred["method"] == method
    assert PUBLISHED[method].items() <= published.items()
    changed = {name for name, value in published.items() if preferred[name] != value}
    assert changed <= PUBLISHED[method].keys()
    if module is features:
        assert changed == PUBLISHED[method].keys()


@pytest.mark.parametrize("name", ["graph_committee_published", "nonsense"])
@pytest.mark.parametrize("module", [*SMALL, cifar20])
def test_what_is_no_method_and_no_paper_is_told_with_what_would_do(module, name: str) -> None:
    with pytest.raises(UserError, match=f"method is '{name}'; one of dsac, .*idc_published"):
        module.get_config(name)


def flat(config: ConfigDict) -> dict:
    names = config.to_dict()
    nested = {
        f"{group}.{name}": value
        for group, options in names.items()
        if isinstance(options, dict)
        for name, value in options.items()
    }
    return {name: value for name, value in names.items() if not isinstance(value, dict)} | nested
