"""The graph committee: a clustering from few answers about fixed features."""

from idc_jax.methods.committee.method import GraphCommitteeOptions, build
from idc_jax.methods.committee.state import GraphCommitteeContext, GraphCommitteeState
from idc_jax.methods.contract import OWN, Method, MethodSpec, Options, Parts

__all__ = ["SPEC"]


def _build(parts: Parts, options: Options) -> Method:
    own = options["graph_committee"]
    if parts.selector != OWN:
        own = own._replace(picks=parts.selector)
    return build(
        parts.model,
        parts.views,
        parts.data,
        num_clusters=parts.num_clusters,
        begin=parts.begin,
        options=own,
        log=parts.log,
        progress=parts.progress,
    )


SPEC = MethodSpec(
    name="graph_committee",
    summary='asks "what is this?" and learns from few answers on features that stay as they are',
    asks=("label",),
    build=_build,
    context=GraphCommitteeContext,
    state=GraphCommitteeState,
    options={"graph_committee": GraphCommitteeOptions},
    defaults={"rounds": 10, "graph_committee.space": "network"},
)
