"""PCL, "Personalized Clustering via Targeted Representation Learning"."""

from idc_jax.methods.contract import MethodSpec
from idc_jax.methods.pcl.method import build
from idc_jax.methods.pcl.recipes import CODE, PAPER
from idc_jax.methods.pcl.state import PclContext, PclOptions, PclState
from idc_jax.methods.pcl.training import PclTraining

__all__ = ["SPEC"]

SPEC = MethodSpec(
    name="pcl",
    summary='asks "do these two belong together?" about the most informative pairs',
    asks=("pair",),
    build=build,
    context=PclContext,
    state=PclState,
    options={"pcl": PclOptions, "pcl_training": PclTraining},
    chooses="pairs",
    # The paper's pairs and heads; a person answers them in rounds.
    defaults={"budget": 10_000, "rounds": 10, "model.head": "plain", "pcl.uncertain": "even"},
    recipes={"paper": PAPER, "code": CODE},
    costly=("rounds", "pcl.per_block", "pcl.share", "pcl_training"),
    small={
        "pcl_training.warmup_epochs": 2,
        "pcl_training.epochs": 6,
        "pcl_training.final_epochs": 0,
        "pcl_training.learning_rate": 3e-4,
    },
)
"""PCL."""
