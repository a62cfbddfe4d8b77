"""How IDC's fine-tuning is set, and what of that cannot be."""

from __future__ import annotations

from typing import Literal, NamedTuple

from idc_jax.errors import check_above, check_at_least, check_one_of


class FinetuneOptions(NamedTuple):
    """How to fine-tune. The defaults are the paper's.

    Attributes:
      epochs: passes over the answers; one is floor(answers / batch_size) steps.
      batch_size: answered samples per step, capped at the answers there are; the regularisation
        sees five times as many samples of the whole data set.
      min_steps: at least so many steps, however few answers there are.
      learning_rate: Adam's.
      weight_decay: L2, added to the gradient (coupled), as PyTorch's Adam has it.
      positive_weight: of L_pos.
      negative_weight: of L_neg.
      regularisation_weight: of L_reg.
      balanced: average L_pos and L_reg within each class first, as the published code does.
      negative: ``"sampled"`` draws one rejected cluster per step, ``"mean"`` takes all.
      pseudo_labels: what L_reg learns from: ``"threshold"``, the network's own predictions above
        the threshold (the paper); ``"store"``, the published code's memory of them; ``"graph"``,
        the answers spread over the neighbour graph, as soft targets.
      threshold: τ of the confident.
      quota: share of a batch that one step may add to the store.
      exclude_queried: keep answered samples out of L_reg, so that no pseudo-label contradicts
        an answer.
      restart_unlabelled: begin a new pass over all samples, in a new order, with each epoch of the
        answers, as the published code does; False comes to each sample before any comes again.
      regularise_from: share of the steps before L_reg sets in (0.5 for ProPos in the paper).
    """

    epochs: int = 100
    batch_size: int = 100
    min_steps: int = 0
    learning_rate: float = 1e-4
    weight_decay: float = 1e-4
    positive_weight: float = 1.0
    negative_weight: float = 1.0
    regularisation_weight: float = 1.0
    balanced: bool = False
    negative: Literal["sampled", "mean"] = "sampled"
    pseudo_labels: Literal["threshold", "store", "graph"] = "threshold"
    threshold: float = 0.99
    quota: float = 0.2
    exclude_queried: bool = True
    restart_unlabelled: bool = False
    regularise_from: float = 0.0


def check_options(options: FinetuneOptions) -> None:
    """Refuse options that cannot be trained with.

    Raises:
      UserError: naming the option, its value and what it must be.
    """
    for name in ("epochs", "batch_size"):
        check_at_least(f"finetune.{name}", getattr(options, name), 1)
    check_above("finetune.learning_rate", options.learning_rate, 0)
    check_one_of("finetune.negative", options.negative, ("sampled", "mean"))
    check_one_of("finetune.pseudo_labels", options.pseudo_labels, ("threshold", "store", "graph"))


def schedule(num_answers: int, options: FinetuneOptions) -> tuple[int, int]:
    """Steps in all and answered samples per step."""
    batch = min(options.batch_size, num_answers)
    return max(options.epochs * (num_answers // batch), options.min_steps), batch
