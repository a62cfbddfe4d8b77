"""IDC, "Interactive Deep Clustering via Value Mining"."""

from idc_jax.methods.contract import OWN, Method, MethodSpec, Options, Parts
from idc_jax.methods.idc.method import build
from idc_jax.methods.idc.options import IDCOptions, for_new_head
from idc_jax.methods.idc.state import IDCContext, IDCState
from idc_jax.train.finetune import FinetuneOptions

__all__ = ["SPEC"]


def _build(parts: Parts, options: Options) -> Method:
    own, finetuning = options["idc"], options["finetune"]
    if parts.new_head:
        own, finetuning = for_new_head(own, finetuning)
    return build(
        parts.model,
        parts.views,
        parts.data,
        num_clusters=parts.num_clusters,
        begin=parts.begin,
        selector="idc" if parts.selector == OWN else parts.selector,
        options=own,
        finetuning=finetuning,
        log=parts.log,
        progress=parts.progress,
    )


SPEC = MethodSpec(
    name="idc",
    summary='asks "which of these clusters?" about the samples that are worth it',
    asks=("cluster",),
    build=_build,
    context=IDCContext,
    state=IDCState,
    options={"idc": IDCOptions, "finetune": FinetuneOptions},
    streams=True,
    published={
        "rounds": 1,
        "idc.hops": 0,
        "idc.candidates": "cosine",
        "finetune.pseudo_labels": "threshold",
        "finetune.learning_rate": 1e-4,
        "finetune.min_steps": 0,
    },
)
