"""IPC, "Interactive Personalized Clustering: Navigating Beyond Rigid Criteria and Ambiguity"."""

from idc_jax.methods.contract import MethodSpec
from idc_jax.methods.ipc.method import build
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
    defaults={"budget": 500, "ipc.space": "network"},
    published={},
    features={"ipc.space": "input"},
)
