"""A local web page on which people answer the questions of a run."""

from idc_jax.annotate.page.pictures import galleries
from idc_jax.annotate.page.server import Page, serve

__all__ = ["Page", "galleries", "serve"]
