"""The text towers of CLIP and SigLIP, which put sentences beside images.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (2021); Zhai
et al., "Sigmoid Loss for Language Image Pre-Training" (2023). They are evaluated and never trained,
so that their weights keep the names that transformers gives them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from idc_jax.models.vit import ACTIVATIONS, Activation
from idc_jax.ops import normalize


class TextTower(NamedTuple):
    """A transformer up to one vector a sentence.

    Attributes:
      weights: float32 arrays by their names below ``text_model.``, and the last linear map as
        ``projection.weight`` ``[d, width]``, perhaps with ``projection.bias`` ``[d]``.
      heads: of each attention.
      activation: of the MLPs.
      epsilon: of the LayerNorms.
      causal: whether a token attends to none behind it, as in CLIP.
    """

    weights: Mapping[str, jax.Array]
    heads: int
    activation: Activation
    epsilon: float
    causal: bool


def text_vectors(tower: TextTower, tokens: jax.Array, ends: jax.Array) -> jax.Array:
    """The unit vectors of sentences.

    Args:
      tower: whose.
      tokens: int ``[w, t]``, t at most as many as the tower has positions.
      ends: int ``[w]``, the place in each sentence whose output is its vector.

    Returns:
      float32 ``[w, d]``, in the space of the images' embeddings.
    """
    how = (tower.heads, tower.activation, tower.epsilon, tower.causal)
    return _text_vectors(dict(tower.weights), jnp.asarray(tokens), jnp.asarray(ends), how)


@partial(jax.jit, static_argnames="how")
def _text_vectors(
    weights: dict[str, jax.Array],
    tokens: jax.Array,
    ends: jax.Array,
    how: tuple[int, Activation, float, bool],
) -> jax.Array:
    tower = TextTower(weights, *how)
    x = weights["embeddings.token_embedding.weight"][tokens]
    x = x + weights["embeddings.position_embedding.weight"][: tokens.shape[1]]
    depth = sum(name.endswith(".layer_norm1.weight") for name in weights)
    for index in range(depth):
        x = _block(tower, f"encoder.layers.{index}", x)
    pooled = _norm(tower, "final_layer_norm", x)[jnp.arange(len(x)), ends]
    return normalize(_linear(tower, "projection", pooled))


def _block(tower: TextTower, name: str, x: jax.Array) -> jax.Array:
    """One block of ``x`` ``[w, t, width]``: attention and an MLP, each normalised and added."""
    x = x + _attention(tower, f"{name}.self_attn", _norm(tower, f"{name}.layer_norm1", x))
    y = _linear(tower, f"{name}.mlp.fc1", _norm(tower, f"{name}.layer_norm2", x))
    return x + _linear(tower, f"{name}.mlp.fc2", ACTIVATIONS[tower.activation](y))


def _attention(tower: TextTower, name: str, x: jax.Array) -> jax.Array:
    query, key, value = (
        _linear(tower, f"{name}.{part}_proj", x).reshape(*x.shape[:2], tower.heads, -1)
        for part in "qkv"
    )
    mixed = jax.nn.dot_product_attention(query, key, value, is_causal=tower.causal)
    return _linear(tower, f"{name}.out_proj", mixed.reshape(x.shape))


def _linear(tower: TextTower, name: str, x: jax.Array) -> jax.Array:
    return x @ tower.weights[f"{name}.weight"].T + tower.weights.get(f"{name}.bias", 0.0)


def _norm(tower: TextTower, name: str, x: jax.Array) -> jax.Array:
    x = jax.nn.standardize(x, epsilon=tower.epsilon)
    return x * tower.weights[f"{name}.weight"] + tower.weights[f"{name}.bias"]
