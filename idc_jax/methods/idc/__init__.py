"""IDC, "Interactive Deep Clustering via Value Mining"."""

from idc_jax.methods.contract import MethodSpec
from idc_jax.methods.idc.method import build
from idc_jax.methods.idc.options import IDCOptions
from idc_jax.methods.idc.recipes import CODE, PAPER
from idc_jax.methods.idc.state import IDCContext, IDCState
from idc_jax.train.finetune import FinetuneOptions

__all__ = ["SPEC"]

SPEC = MethodSpec(
    name="idc",
    summary='asks "which of these clusters?" about the samples that are worth it',
    asks=("cluster", "label", "pair", "grid"),
    build=build,
    context=IDCContext,
    state=IDCState,
    options={"idc": IDCOptions, "finetune": FinetuneOptions},
    defaults={"idc.show_asked": False},
    recipes={"paper": PAPER, "code": CODE},
    features={
        "idc.space": "input",
        "idc.hops": 3,
        "idc.head_steps": 300,
        "idc.candidates": "probability",
        "finetune.pseudo_labels": "graph",
        "finetune.learning_rate": 1e-3,
        "finetune.min_steps": 500,
    },
)
"""IDC."""
