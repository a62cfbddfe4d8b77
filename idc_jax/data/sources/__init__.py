"""The data sources, by name."""

from idc_jax.data.sources.base import Request, Source
from idc_jax.data.sources.digits import load_digits
from idc_jax.data.sources.features import load_features

SOURCES: dict[str, Source] = {
    "digits": load_digits,
    "features": load_features,
}

__all__ = ["SOURCES", "Request", "Source"]
