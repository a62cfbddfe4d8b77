"""The graph committee: a clustering from few answers about fixed features."""

from idc_jax.methods.committee.method import build
from idc_jax.methods.committee.options import GraphCommitteeOptions
from idc_jax.methods.committee.state import GraphCommitteeContext, GraphCommitteeState
from idc_jax.methods.contract import MethodSpec

__all__ = ["SPEC"]

SPEC = MethodSpec(
    name="graph_committee",
    summary='asks "what is this?" and learns from few answers on features that stay as they are',
    asks=("label", "pair", "cluster", "grid"),
    build=build,
    context=GraphCommitteeContext,
    state=GraphCommitteeState,
    options={"graph_committee": GraphCommitteeOptions},
    defaults={"rounds": 10, "graph_committee.space": "network"},
    features={"graph_committee.space": "input"},
    usual=True,
    quick=True,
    grows=True,
)
"""The graph committee."""
