"""IPC, "Interactive Personalized Clustering: Navigating Beyond Rigid Criteria and Ambiguity"."""

from idc_jax.methods.contract import MethodSpec
from idc_jax.methods.ipc.method import build
from idc_jax.methods.ipc.recipes import PAPER
from idc_jax.methods.ipc.state import IpcContext, IpcOptions, IpcState
from idc_jax.methods.ipc.training import IpcTraining

__all__ = ["SPEC"]

SPEC = MethodSpec(
    name="ipc",
    summary='asks "do these two belong together?" where similarity leaves it open',
    asks=("pair",),
    build=build,
    context=IpcContext,
    state=IpcState,
    options={"ipc": IpcOptions, "ipc_training": IpcTraining},
    chooses="pairs",
    # A person answers in rounds, and sees what came of them.
    defaults={
        "budget": 500,
        "rounds": 5,
        "ipc.space": "network",
        "ipc.decorrelate": True,
        "ipc.hops": 3,
        "ipc.starts": 20,
        "ipc.spread": 0.9,
        "ipc_training.min_steps": 500,
    },
    recipes={"paper": PAPER},
    costly=("rounds",),
    features={"ipc.space": "input"},
)
"""IPC."""
