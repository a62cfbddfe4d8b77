"""Questions to ask in the tests of annotators."""

import numpy as np
import pytest
from browsing import browser, start_run, visit  # noqa: F401  (fixtures)
from website import dataset, leave, site  # noqa: F401

from idc_jax.annotate import Questions, Store
from idc_jax.annotate.questions import plain_roles


def make_cluster_questions(indices, *, num_clusters=4, candidates=None, round_=1):
    indices = np.asarray(indices, np.int32)
    if candidates is None:
        candidates = np.tile(np.arange(min(3, num_clusters)), (len(indices), 1))
    return Questions(
        kind="cluster",
        round=round_,
        indices=indices,
        candidates=np.asarray(candidates, np.int32),
        exemplars=np.arange(num_clusters, dtype=np.int32),
        members=np.full((num_clusters, 2), -1, np.int32),
        values=np.linspace(1, 0, len(indices), dtype=np.float32),
        roles=plain_roles(len(indices)),
    )


@pytest.fixture
def cluster_questions():
    return make_cluster_questions


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "answers.db") as opened:
        yield opened
        leave()
