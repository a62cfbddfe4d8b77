"""The graph committee on a float16 file, by phase: see :mod:`benchmarks.selectors.from_file`."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np

from benchmarks.harness.figures import peak_gib
from benchmarks.selectors import data
from benchmarks.selectors.phases import Phases
from idc_jax import ops
from idc_jax.annotate.evidence import Ledger
from idc_jax.annotate.questions import answered
from idc_jax.methods import registry
from idc_jax.methods.committee.method import first_state
from idc_jax.methods.committee.space import CommitteeSpace, compare
from idc_jax.methods.committee.state import GraphCommitteeContext
from idc_jax.methods.common.searching import searcher
from idc_jax.methods.contract import Parts, Round
from idc_jax.metrics import clustering_metrics
from idc_jax.train.log import silent

_ANSWERS = 100
# A third of the searches and half of the memory: one view, no waves of the graph, no currents.
_LEAN = {"views": False, "density_search": False, "coordinates": 0, "poisson": 0}


def learn(path: Path, labels: np.ndarray, limit: float, *, lean: bool) -> None:
    """Ask about 100 samples of the file, learn from their ``labels`` ``[n]``, and ask again."""
    phase = Phases(limit)
    x = phase("read", lambda: data.mapped(path))
    n, spec = len(x), registry.get("graph_committee")
    options = spec.options["graph_committee"](**(_LEAN if lean else {}))
    begin, cluster, ask = jax.random.split(jax.random.key(0), 3)
    find, reached = searcher("auto", silent), []

    def search(rows: jax.Array, k: int) -> ops.Neighbors:
        found = phase("  neighbours", lambda: find(rows, k))
        reached.append(float(ops.recall(jax.random.key(1), rows, found, 256)))
        return found

    space: CommitteeSpace = phase("space", lambda: compare(begin, x, options, search))
    context = GraphCommitteeContext({}, space)
    state = phase(
        "first state",
        lambda: first_state(cluster, space.features, data.CLASSES, options.restarts),
    )
    parts = Parts(None, None, x, num_clusters=data.CLASSES, begin=lambda key: {})  # type: ignore[arg-type]
    method, ledger = spec.build(parts, {"graph_committee": options}), Ledger(n)
    first, second = (
        Round(number, _ANSWERS, _ANSWERS * (number - 1), 2 * _ANSWERS, False, number)
        for number in (1, 2)
    )
    evidence = phase("evidence", ledger.evidence)
    asked = phase("opening picks", lambda: method.ask(ask, context, state, evidence, first))
    ledger.add(asked, answered(asked, labels[asked.indices]))
    told = phase("evidence", ledger.evidence)
    state, _ = phase("learning", lambda: method.learn(ask, context, state, told, first))
    phase("picks by value", lambda: method.ask(ask, context, state, told, second))
    predicted = np.asarray(state.slots)[np.asarray(state.probabilities).argmax(1)]
    accuracy = clustering_metrics(np.maximum(predicted, 0), labels, data.CLASSES)["acc"]
    print(
        f"{n:,} x {x.shape[1]}: {phase.seconds():.1f} s, peak {peak_gib():.2f} GiB, recall "
        f"{', '.join(f'{share:.3f}' for share in reached)}, ACC {accuracy:.3f}"
    )
