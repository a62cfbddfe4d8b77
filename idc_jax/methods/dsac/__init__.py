"""DSAC, "Deep Self-paced Active Learning for Image Clustering"."""

import jax

from idc_jax.methods.contract import OWN, Method, MethodSpec, Options, Parts
from idc_jax.methods.dsac.method import build
from idc_jax.methods.dsac.state import DsacContext, DsacOptions, DsacState
from idc_jax.methods.dsac.training import DsacTraining

__all__ = ["SPEC"]


def _build(parts: Parts, options: Options) -> Method:
    own = options["dsac"]
    if parts.selector != OWN:
        own = own._replace(picks=parts.selector)
    assert isinstance(parts.data, jax.Array)
    return build(
        parts.model,
        parts.views,
        parts.data,
        num_clusters=parts.num_clusters,
        begin=parts.begin,
        options=own,
        training=options["dsac_training"],
        log=parts.log,
        progress=parts.progress,
    )


SPEC = MethodSpec(
    name="dsac",
    summary='asks "what is this?" about representative and difficult samples of each cluster',
    asks=("label",),
    build=_build,
    context=DsacContext,
    state=DsacState,
    options={"dsac": DsacOptions, "dsac_training": DsacTraining},
    # The paper's rounds, heads and pre-training (SimCLR alone).
    defaults={
        "budget": 100,
        "rounds": 5,
        "model.head": "linear",
        "model.embedding_dim": 200,
        "pretrain.cluster_weight": 0.0,
        "pretrain.entropy_weight": 0.0,
    },
    published={
        "init": "pretrain",
        "dsac.space": "network",
        "dsac.groups": "classes",
        "dsac.pseudo_labels": "representative",
        "dsac.pseudo_start": 50,
        "dsac.normalized_compactness": False,
    },
)
