"""The committee's options, and which of them mean nothing."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, get_args

from idc_jax import selectors
from idc_jax.errors import UserError, check_above, check_at_least, check_one_of

Space = Literal["input", "network", "instance"]


class CommitteeOptions(NamedTuple):
    """How answers are learned.

    Attributes:
      reaches: pairs (neighbours k, α) of the graphs along which answers spread; () for none.
      iterations: steps of each spreading.
      poisson: steps of the conjugate gradients of Poisson learning on the widest graph; 0 leaves
        it out.
      regression: inverse strength C of the regression's penalty ``|W|² / 2C`` beside the sum of
        the answers' losses; 0 leaves the regressions and the student out.
      steps: gradient steps of a regression.
      regression_from: answers per class named from which the regression counts as much as the
        spreading; with fewer it counts in proportion, since planes need more answers.
      stacking: calibrate and weigh the members by answers that they have not seen.
      views: regressions on further views of the features, where stacking weighs them.
      prior: bring the classes' shares to what the answers say of them.
      student: learn a regression on features that were not averaged, from the others' opinions.
      trust: the share of answers that are taken to be right.
    """

    reaches: tuple[tuple[int, float], ...] = ((5, 0.99), (15, 0.95))
    iterations: int = 30
    poisson: int = 50
    regression: float = 10.0
    steps: int = 400
    regression_from: float = 10.0
    stacking: bool = True
    views: bool = True
    prior: bool = True
    student: bool = True
    trust: float = 0.9


class GraphCommitteeOptions(NamedTuple):
    """The method's options.

    Attributes:
      space: where samples are compared: the ``"input"`` itself, for features that somebody
        else's network made, the ``"network"``'s embedding, or the ``"instance"`` head's output.
      decorrelate: make neighbours differ equally in all directions first.
      hops: average the features over their neighbours this often; 0 for not at all.
      hop_neighbors: neighbours per sample in that averaging.
      opening: answers for each wanted cluster up to which rounds ask all over the data, whatever
        is predicted; then by value. 0 for the first round alone, by the features alone.
      picks: ``"value"``, or any selector of samples of :func:`idc_jax.selectors.names`.
      density_neighbors: K, neighbours in whose midst a sample is worth asking about.
      density_search: look for these among the averaged features; without, those that the features
        were averaged over stand in for them, which spares a search.
      restarts: of the k-means before any answer, and of that for the first picks.
      coordinates: eigenvectors of the graph on which a second regression works; 0 for none.
      reaches, iterations, poisson, regression, steps, regression_from, stacking, views, prior,
        student, trust: see :class:`CommitteeOptions`.
    """

    space: Space = "input"
    decorrelate: bool = True
    hops: int = 3
    hop_neighbors: int = 10
    opening: float = 2.0
    picks: str = "value"
    density_neighbors: int = 20
    density_search: bool = True
    restarts: int = 3
    coordinates: int = 100
    reaches: tuple[tuple[int, float], ...] = CommitteeOptions().reaches
    iterations: int = CommitteeOptions().iterations
    poisson: int = CommitteeOptions().poisson
    regression: float = CommitteeOptions().regression
    steps: int = CommitteeOptions().steps
    regression_from: float = CommitteeOptions().regression_from
    stacking: bool = CommitteeOptions().stacking
    views: bool = CommitteeOptions().views
    prior: bool = CommitteeOptions().prior
    student: bool = CommitteeOptions().student
    trust: float = CommitteeOptions().trust


def check_options(options: GraphCommitteeOptions, num_clusters: int, num_samples: int) -> None:
    """Refuse options that mean nothing.

    Raises:
      UserError: naming the option, its value and what it must be.
    """
    if not 1 <= num_clusters <= num_samples:
        raise UserError(f"{num_clusters} clusters of {num_samples} samples are impossible")
    check_one_of("graph_committee.space", options.space, get_args(Space))
    check_one_of("graph_committee.picks", options.picks, ("value", *selectors.names("samples")))
    if not options.reaches and not options.regression:
        raise UserError("graph_committee has neither reaches nor regression; set one of them")
    for reach in options.reaches:
        if not _is_reach(reach):
            raise UserError(
                f"graph_committee.reaches has {reach!r}; each must be a pair: at least 1 "
                "neighbour, and a reach of at least 0 and below 1, as in ((10, 0.9), (5, 0.5))"
            )
    check_at_least("graph_committee.regression", options.regression, 0)
    for name in ("restarts", "iterations", "steps"):
        check_at_least(f"graph_committee.{name}", getattr(options, name), 1)
    if not 0 <= options.opening < math.inf:
        raise UserError(
            f"graph_committee.opening is {options.opening}; it must be finite and at least 0"
        )
    for name in ("coordinates", "poisson"):
        check_at_least(f"graph_committee.{name}", getattr(options, name), 0)
    check_above("graph_committee.regression_from", options.regression_from, 0)
    if not 0 < options.trust < 1:
        raise UserError(f"graph_committee.trust is {options.trust}; it must be between 0 and 1")


def _is_reach(reach: object) -> bool:
    """Whether it is a number of neighbours and a share."""
    if not isinstance(reach, tuple | list) or len(reach) != 2:
        return False
    k, alpha = reach
    return isinstance(k, int) and isinstance(alpha, int | float) and k >= 1 and 0 <= alpha < 1
