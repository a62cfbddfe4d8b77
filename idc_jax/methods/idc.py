"""IDC: "which of these clusters?", about the samples that are worth it.

"Interactive Deep Clustering via Value Mining". A pre-trained clustering network embeds, its
clusters are scored, the hardest, most representative and most diverse samples are asked about,
and the answers fine-tune the network.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax import ops, selectors
from idc_jax.annotate.questions import Answers, Questions
from idc_jax.data.views import Views
from idc_jax.errors import UserError
from idc_jax.methods.base import Begin, Log, Method
from idc_jax.methods.cluster_questions import ask_clusters
from idc_jax.methods.spread import spread_answers
from idc_jax.metrics import match_clusters
from idc_jax.models.base import Model, Outputs, Variables
from idc_jax.ops.graph import smooth
from idc_jax.selectors import Selection, SelectorInputs
from idc_jax.train.finetune import UNASKED, Evidence, FinetuneOptions, check_options, finetune
from idc_jax.train.fit import fit_targets
from idc_jax.train.loop import run_network

Space = Literal["network", "instance", "input"]
Centers = Literal["kmeans", "head"]


class IDCOptions(NamedTuple):
    """The method's options; the defaults are the paper's.

    Attributes:
      num_candidates: T, clusters offered per question.
      num_neighbors: K of the representativeness.
      use_hardness: count h.
      use_representativeness: count r.
      use_diversity: count d.
      reference: the published code's representativeness, which counts a sample among its own
        neighbours.
      centers: ``"kmeans"`` on the embeddings (the paper; ids are matched to the network's head),
        or ``"head"``, the means of the samples of each predicted cluster (the published code).
      candidates: offer the clusters of highest ``"cosine"`` to the sample (the paper) or of
        highest ``"probability"``.
      space: where samples are compared: the ``"network"``'s embedding (the paper), the
        ``"instance"`` head's output, in which the pre-training compared them, or the ``"input"``
        itself, for features that somebody else's network made.
      hops: average the embeddings over their neighbours this often before clustering and
        selecting; 0 is the paper.
      hop_neighbors: neighbours per sample in that averaging.
      graph_neighbors: neighbours per sample along which answers spread.
      spread: α, how far answers reach along the graph where the fine-tuning learns from it.
      ensemble: where it does, predict by the mean of the network and the graph.
      head_steps: steps in which the cluster head learns the k-means clusters before anything is
        asked; 0 keeps the pre-trained head.
      restarts: of k-means.
    """

    num_candidates: int = 5
    num_neighbors: int = 20
    use_hardness: bool = True
    use_representativeness: bool = True
    use_diversity: bool = True
    reference: bool = False
    centers: Centers = "kmeans"
    candidates: Literal["cosine", "probability"] = "cosine"
    space: Space = "network"
    hops: int = 0
    hop_neighbors: int = 10
    graph_neighbors: int = 15
    spread: float = 0.95
    ensemble: bool = True
    head_steps: int = 0
    restarts: int = 10


class IDCState(NamedTuple):
    """What a checkpoint holds.

    Attributes:
      variables: the network's.
      embeddings: float32 ``[n, d]``, of unit length, where samples are compared.
      neighbors: the graph along which answers spread, ``[n, k]`` each.
      near: the nearest by ``embeddings``, ``[n, K]`` each, for the representativeness.
      probabilities: float32 ``[n, c]``, the present prediction.
      prior: float32 ``[n, c]``, the prediction before any answer.
      choice: int32 ``[n]``, the answers; ``UNASKED`` for none.
      rejected: bool ``[n, c]``, candidates of a "none of these".
      store: int32 ``[n]``, pseudo-labels of the published code's memory.
    """

    variables: Variables
    embeddings: jax.Array
    neighbors: ops.Neighbors
    near: ops.Neighbors
    probabilities: jax.Array
    prior: jax.Array
    choice: jax.Array
    rejected: jax.Array
    store: jax.Array


def build(
    model: Model,
    views: Views,
    data: jax.Array,
    *,
    num_clusters: int,
    begin: Begin,
    selector: str,
    options: IDCOptions,
    finetuning: FinetuneOptions,
    log: Log,
    progress: bool = True,
) -> Method:
    """Compose the method on ``data``.

    Args:
      model: with ``num_clusters`` outputs.
      views: ``strong`` fine-tunes, ``val`` embeds.
      data: raw samples ``[n, ...]`` on the device.
      num_clusters: c.
      begin: gives the network's first variables.
      selector: a name of :func:`idc_jax.selectors.names`; ``"idc"`` is the paper's.
      options: what is asked.
      finetuning: how the answers are learned.
      log: called with losses.
      progress: show bars.

    Raises:
      UserError: options that mean nothing, more clusters than samples.
    """
    _check(options, selector, num_clusters, data.shape[0])
    check_options(finetuning)
    spreads = finetuning.pseudo_labels == "graph"

    def init(key: jax.Array) -> IDCState:
        begin_key, cluster_key, head_key = jax.random.split(key, 3)
        variables = begin(begin_key)
        outputs = network(variables)
        z, neighbors, near = compare(outputs)
        if options.head_steps:
            clusters = ops.kmeans(cluster_key, z, num_clusters, restarts=options.restarts)
            targets = jax.nn.one_hot(clusters.assignments, num_clusters)
            variables, _ = fit_targets(
                head_key,
                model,
                views.weak,
                variables,
                data,
                targets,
                steps=options.head_steps,
                batch_size=min(512, data.shape[0]),
                learning_rate=1e-3,
                head_only=options.space != "input",
            )
            outputs = network(variables)
        probs = jax.nn.softmax(outputs.logits)
        if options.head_steps:
            # What was clustered is what a person is shown; the head has only learnt it.
            probs = 0.5 * probs + 0.5 * targets
        return IDCState(
            variables=variables,
            embeddings=z,
            neighbors=neighbors,
            near=near,
            probabilities=probs,
            prior=probs,
            choice=jnp.full(data.shape[0], UNASKED, jnp.int32),
            rejected=jnp.zeros((data.shape[0], num_clusters), bool),
            store=jnp.full(data.shape[0], -1, jnp.int32),
        )

    def network(variables: Variables) -> Outputs:
        return run_network(model, variables, views.val, data)

    def plain_embeddings(outputs: Outputs) -> jax.Array:
        if options.space == "input":
            return ops.normalize(data.reshape(data.shape[0], -1).astype(jnp.float32))
        return ops.normalize(outputs.instance if options.space == "instance" else outputs.embedding)

    def compare(outputs: Outputs) -> tuple[jax.Array, ops.Neighbors, ops.Neighbors]:
        """Where samples are compared, the graph that answers spread along, and the nearest."""
        plain = plain_embeddings(outputs)
        wanted = max(options.graph_neighbors, options.num_neighbors)
        found = ops.knn(plain, wanted)
        graph = _nearest(found, options.graph_neighbors)
        if not options.hops:
            return plain, graph, _nearest(found, options.num_neighbors)
        z = ops.normalize(smooth(plain, _nearest(found, options.hop_neighbors), hops=options.hops))
        return z, graph, ops.knn(z, options.num_neighbors)

    def ask(key: jax.Array, state: IDCState, round_: int, budget: int) -> tuple[Any, Questions]:
        center_key, select_key = jax.random.split(key)
        centers, counts = _centers(center_key, state, num_clusters, options, first=round_ == 1)
        picks = select(select_key, state, centers, budget)
        scored = state.embeddings @ ops.normalize(centers).T
        questions = ask_clusters(
            round_,
            picks,
            similarities=scored,
            offered=scored if options.candidates == "cosine" else state.probabilities,
            counts=counts,
            num_candidates=options.num_candidates,
            assignments=jnp.argmax(state.probabilities, axis=-1),
        )
        return state, questions

    def select(key: jax.Array, state: IDCState, centers: jax.Array, budget: int) -> Selection:
        inputs = SelectorInputs(
            embeddings=state.embeddings,
            probabilities=state.probabilities,
            centers=centers,
            assignments=jnp.argmax(state.probabilities, axis=-1),
            labelled=state.choice != UNASKED,
        )
        own: dict[str, Any] = {}
        if selector == "idc":
            own = {
                "neighbors": state.near,
                "num_neighbors": options.num_neighbors,
                "use_hardness": options.use_hardness,
                "use_representativeness": options.use_representativeness,
                "use_diversity": options.use_diversity,
                "reference": options.reference,
            }
        return selectors.get(selector, **own).select(key, inputs, budget)

    def learn(
        key: jax.Array, state: IDCState, answers: Answers
    ) -> tuple[IDCState, dict[str, float]]:
        choice, rejected = _record(state, answers)
        state = state._replace(choice=choice, rejected=rejected)
        posterior = heard(state) if spreads else jnp.zeros((0, num_clusters))
        evidence = Evidence(choice, rejected, posterior)
        variables, store, info = finetune(
            key,
            model,
            views,
            data,
            state.variables,
            evidence,
            state.store,
            finetuning,
            log=log,
            progress=progress,
        )
        outputs = network(variables)
        probs = jax.nn.softmax(outputs.logits)
        if spreads and options.ensemble:
            probs = 0.5 * (probs + posterior)
        state = state._replace(variables=variables, store=store, probabilities=probs)
        return _moved(state, outputs), info

    def heard(state: IDCState) -> jax.Array:
        return spread_answers(
            state.neighbors,
            state.prior,
            state.probabilities,
            state.choice,
            state.rejected,
            options.spread,
        )

    def _moved(state: IDCState, outputs: Outputs) -> IDCState:
        """Where the embedding is the network's, the answers have moved it."""
        if options.space == "input":
            return state
        z, neighbors, near = compare(outputs)
        return state._replace(embeddings=z, neighbors=neighbors, near=near)

    return Method(
        init=init,
        ask=ask,
        learn=learn,
        predict=lambda state: state.probabilities,
        embed=lambda state: state.embeddings,
        restore=restore,
    )


def restore(tree: dict[str, Any]) -> IDCState:
    """Build the state from its plain dict."""
    graphs = {name: ops.Neighbors(**tree[name]) for name in ("neighbors", "near")}
    return IDCState(**{**tree, **graphs})


def _nearest(found: ops.Neighbors, count: int) -> ops.Neighbors:
    return ops.Neighbors(found.distances2[:, :count], found.indices[:, :count])


def _centers(
    key: jax.Array, state: IDCState, num_clusters: int, options: IDCOptions, *, first: bool
) -> tuple[jax.Array, jax.Array]:
    """Centres ``[c, d]`` by the ids of the head, and the size of each cluster ``[c]``.

    After the first answers the predictions know more than k-means does, so the later rounds
    always take the means of the predicted clusters.
    """
    predicted = jnp.argmax(state.probabilities, axis=-1)
    members = jax.nn.one_hot(predicted, num_clusters)
    if options.centers == "head" or options.head_steps or not first:
        counts = members.sum(0)
        means = members.T @ state.embeddings / jnp.maximum(counts, 1)[:, None]
        return means, counts
    found = ops.kmeans(key, state.embeddings, num_clusters, restarts=options.restarts)
    matching = match_clusters(np.asarray(found.assignments), np.asarray(predicted), num_clusters)
    order = np.asarray(matching.cluster_of_class)
    left = np.setdiff1d(np.arange(num_clusters), order)
    # A cluster that the head never predicts takes any centre that is left over.
    order = np.concatenate([order, np.full(num_clusters - len(order), -1)]).astype(int)
    order[order < 0] = left[: int((order < 0).sum())]
    counts = jnp.bincount(found.assignments, length=num_clusters)
    return found.centers[order], counts[order]


def _record(state: IDCState, answers: Answers) -> tuple[jax.Array, jax.Array]:
    """The answers of a round entered into ``choice`` ``[n]`` and ``rejected`` ``[n, c]``."""
    choice = np.array(state.choice)
    rejected = np.array(state.rejected)
    choice[answers.indices] = answers.choice
    for sample, offered, said in zip(
        answers.indices, answers.candidates, answers.choice, strict=True
    ):
        if said == -1:
            rejected[sample, offered[offered >= 0]] = True
    return jnp.asarray(choice), jnp.asarray(rejected)


def _check(options: IDCOptions, selector: str, num_clusters: int, num_samples: int) -> None:
    if num_clusters > num_samples:
        raise UserError(f"num_clusters is {num_clusters}, but there are {num_samples} samples")
    if selector not in selectors.names():
        raise UserError(f"selector is {selector!r}; one of {', '.join(selectors.names())} would do")
    for name, known in (
        ("centers", get_args(Centers)),
        ("candidates", ("cosine", "probability")),
        ("space", get_args(Space)),
    ):
        if getattr(options, name) not in known:
            raise UserError(
                f"idc.{name} is {getattr(options, name)!r}; one of {', '.join(known)} would do"
            )
    for name in ("num_candidates", "num_neighbors", "hop_neighbors", "graph_neighbors", "restarts"):
        if getattr(options, name) < 1:
            raise UserError(f"idc.{name} is {getattr(options, name)}; 1 or more would do")
    if not 0 <= options.spread < 1:
        raise UserError(f"idc.spread is {options.spread}; from 0 to below 1 would do")
