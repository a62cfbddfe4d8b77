"""From sentences to unit vectors by the text tower of a checkpoint of CLIP's or SigLIP's."""

from __future__ import annotations

import importlib.util
import json
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from idc_jax.errors import UserError
from idc_jax.models.importing.backbones import NAMED_ACTIVATIONS
from idc_jax.models.importing.read import read_checkpoint
from idc_jax.models.text import TextTower, text_vectors
from idc_jax.models.vit import Activation

_TOKENS = "embeddings.token_embedding.weight"
_POSITIONS = "embeddings.position_embedding.weight"
_WANTED = "use a whole CLIP or SigLIP checkpoint with transformers' names"


class _Family(NamedTuple):
    """Whose tower it is.

    Attributes:
      projection: the name of the last linear map, beside ``text_model``.
      activation: of the MLPs, where ``config.json`` says nothing.
      epsilon: of the LayerNorms.
      causal: as in :class:`~idc_jax.models.text.TextTower`; the vector is the end token's then,
        and the last place's otherwise.
    """

    projection: str
    activation: Activation
    epsilon: float
    causal: bool


_CLIP = _Family("text_projection", "quick_gelu", 1e-5, causal=True)
_SIGLIP = _Family("text_model.head", "gelu_tanh", 1e-6, causal=False)


def vectors_of(path: Path, sentences: Sequence[str]) -> np.ndarray:
    """What the checkpoint's text tower makes of ``sentences``.

    Args:
      path: the checkpoint's file or folder, ``tokenizer.json`` beside the weights.
      sentences: w of them; what is longer than the tower reads is cut off.

    Returns:
      float32 ``[w, d]``, of unit length, in the space of the images' embeddings.

    Raises:
      UserError: no text tower in it, one with weights missing, or no tokenizer.
    """
    tower, family = _open(path)
    room = len(tower.weights[_POSITIONS])
    tokens, ends = _tokens(path, family, sentences, room)
    if tokens.max() >= (known := len(tower.weights[_TOKENS])):
        raise UserError(
            f"{path}: tokenizer.json has token {tokens.max()}, the text tower {known} tokens: "
            "both must be of one network"
        )
    return np.asarray(text_vectors(tower, jnp.asarray(tokens), jnp.asarray(ends)), np.float32)


def _open(path: Path) -> tuple[TextTower, _Family]:
    tensors = read_checkpoint(path)
    ending = f"text_model.{_TOKENS}"
    prefix = next((name.removesuffix(ending) for name in tensors if name.endswith(ending)), None)
    if prefix is None:
        raise UserError(f"{path} holds no text tower; {_WANTED}")
    family = _SIGLIP if f"{prefix}{_SIGLIP.projection}.weight" in tensors else _CLIP
    beside = f"{prefix}{family.projection}."
    if f"{beside}weight" not in tensors:
        raise UserError(f"{path} holds a text tower without its projection; {_WANTED}")
    renamed = {
        name.replace(beside, "projection.").removeprefix(f"{prefix}text_model."): value
        for name, value in tensors.items()
        if name.startswith((f"{prefix}text_model.", beside))
    }
    weights = {
        name: jnp.asarray(np.asarray(value, np.float32))
        for name, value in renamed.items()
        if not name.endswith("position_ids")
    }
    _check_whole(path, weights)
    config = _text_config(path)
    width = weights[_TOKENS].shape[1]
    heads = int(config.get("num_attention_heads", 16 if width == 1152 else max(width // 64, 1)))
    if heads < 1 or width % heads:
        raise UserError(f"{path}: config.json has {heads} heads, which do not divide {width}")
    said = config.get("hidden_act", family.activation)
    activation = NAMED_ACTIVATIONS.get(said, family.activation)
    return TextTower(weights, heads, activation, family.epsilon, family.causal), family


def _check_whole(path: Path, weights: Mapping[str, Any]) -> None:
    """Refuse a tower of which a weight is missing."""
    depth = 1 + max((int(n.split(".")[2]) for n in weights if n.startswith("encoder.")), default=-1)
    parts = [f"self_attn.{part}_proj" for part in ("q", "k", "v", "out")]
    parts += ["layer_norm1", "layer_norm2", "mlp.fc1", "mlp.fc2"]
    layers = [f"encoder.layers.{index}.{part}" for index in range(depth) for part in parts]
    needed = [f"{part}.{leaf}" for part in layers for leaf in ("weight", "bias")]
    needed += [_TOKENS, _POSITIONS, "final_layer_norm.weight", "final_layer_norm.bias"]
    missing = [name for name in needed if name not in weights]
    if missing:
        raise UserError(f"{path}: the text tower lacks {missing[0]}; {_WANTED}")


def _text_config(path: Path) -> Mapping[str, Any]:
    file = _beside(path, "config.json")
    if not file.is_file():
        return {}
    try:
        return json.loads(file.read_text()).get("text_config") or {}
    except (ValueError, AttributeError) as error:
        raise UserError(f"{file} is damaged: {error}") from error


def _tokens(
    path: Path, family: _Family, sentences: Sequence[str], room: int
) -> tuple[np.ndarray, np.ndarray]:
    """Tokens ``[w, room]`` and the place of each sentence's vector ``[w]``.

    CLIP's sentences have a token at either end. SigLIP's are lower case and filled up to the last
    place, the first SigLIP's without punctuation.
    """
    tokenizer = _tokenizer(path)
    number = tokenizer.token_to_id
    if family is _CLIP:
        before, end, fill = [number("<|startoftext|>")], number("<|endoftext|>"), 0
    elif number("<eos>") is not None:
        before, end, fill = [], number("<eos>"), number("<pad>")
        sentences = [sentence.lower() for sentence in sentences]
    else:
        before, end = [], number("</s>")
        fill = end
        strip = str.maketrans("", "", string.punctuation)
        sentences = [sentence.lower().translate(strip) for sentence in sentences]
    if None in (*before, end, fill):
        raise UserError(f"{path}: tokenizer.json is not that of the text tower beside it")
    tokens, ends = np.full((len(sentences), room), fill, np.int32), []
    for row, sentence in zip(tokens, sentences, strict=True):
        ids = tokenizer.encode(sentence, add_special_tokens=False).ids
        ids = [*before, *ids[: room - len(before) - 1], end]
        row[: len(ids)] = ids
        ends.append(len(ids) - 1 if family.causal else room - 1)
    return tokens, np.asarray(ends, np.int32)


def _tokenizer(path: Path) -> Any:
    file = _beside(path, "tokenizer.json")
    if not file.is_file():
        raise UserError(
            f"{file} is missing: it lies beside the weights in the network's repository"
        )
    if importlib.util.find_spec("tokenizers") is None:
        raise UserError("words are read with tokenizers: pip install tokenizers")
    from tokenizers import Tokenizer

    try:
        found = Tokenizer.from_file(str(file))
    except Exception as error:  # The library raises plain ones.
        raise UserError(f"{file} is not a tokenizer: {error}") from error
    found.no_padding()
    found.no_truncation()
    return found


def _beside(path: Path, name: str) -> Path:
    return (path if path.is_dir() else path.parent) / name
