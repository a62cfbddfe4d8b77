"""The criterion that an option names: vectors in a file, or words that a text tower reads."""

from __future__ import annotations

from idc_jax.data.criterion import Criterion, listed_words, read_criterion
from idc_jax.errors import UserError
from idc_jax.methods.ipc.state import IpcOptions
from idc_jax.models.importing.text import vectors_of
from idc_jax.train.start import published_weights

_NETWORK = "the whole CLIP or SigLIP checkpoint that the features came from"


def chosen_criterion(options: IpcOptions) -> Criterion | None:
    """The words to compare by, each in the prompt, and their vectors; None without a criterion.

    Raises:
      UserError: a file that holds something else, or words without a text tower.
    """
    if not options.criterion:
        return None
    words = listed_words(options.criterion)
    if words is None:
        return read_criterion(options.criterion)
    if not options.text_network:
        raise UserError(
            f"ipc.criterion lists {len(words)} words, which a text tower has to read: "
            f"set ipc.text_network to {_NETWORK}"
        )
    path = published_weights(options.text_network)
    if path is None:
        raise UserError(
            f"ipc.text_network is {options.text_network!r}, which is not a checkpoint here; "
            f"use {_NETWORK}"
        )
    sentences = [options.prompt.replace("{}", word) for word in words]
    return Criterion(vectors_of(path, sentences), words)
