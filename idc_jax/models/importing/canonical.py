"""Other ways of keeping the same weights, brought to the published one."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from idc_jax.models.importing.names import BackboneNames

_QKV = ("query", "key", "value")
# What others keep as one map: by its name, and those of the maps that it is cut into.
_FUSED: dict[str, tuple[str, ...]] = {
    ".attn.qkv.": tuple(f".attn.{part}." for part in _QKV),
    ".attention.in_proj_": tuple(f".attention.{part}." for part in _QKV),
    ".mlp.w12.": (".mlp.gate.", ".mlp.fc1."),
    ".mlp.weights_in.": (".mlp.gate.", ".mlp.fc1."),
}
# Which of them a backbone's checkpoints have, and what the end of a gated MLP is called then.
_FUSED_BY: dict[BackboneNames, dict[str, str]] = {
    "timm_vit": {".attn.qkv.": "", ".mlp.w12.": ".mlp.w3."},
    "transformers_vit": {".mlp.weights_in.": ".mlp.weights_out."},
    "transformers_siglip": {".attention.in_proj_": ""},
}
# DINOv2's gated MLP, and its names in the memory of transformers 5.
_BLOCK = re.compile(r"(.*\bencoder\.layer\.\d+)\.(?:attention|mlp)\.(\w+_proj)\.(\w+)")
_BLOCK_NAMES = {
    "q_proj": "attention.attention.query",
    "k_proj": "attention.attention.key",
    "v_proj": "attention.attention.value",
    "o_proj": "attention.output.dense",
    "gate_proj": "mlp.gate",
    "up_proj": "mlp.fc1",
    "down_proj": "mlp.fc2",
}
# DINOv2's registers, as its authors call them and as timm does.
_REGISTERS = re.compile(r"(?<!embeddings\.)\bregister_tokens$")
_GATED_END = re.compile(r"\.mlp\.(w3|weights_out)\.")
# DINOv3's blocks in the memory of transformers 5, beside the embeddings.
_DINOV3_BLOCK = re.compile(r"(?P<root>(?:.*\.)?)model\.layer\.(?=\d)")
_DINOV3_START = "embeddings.patch_embeddings.weight"


def canonical(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Cut joint maps, such as timm's ``attn.qkv``, into what they are, and call all alike."""
    out: dict[str, np.ndarray] = {}
    for name, value in tensors.items():
        fused = next((part for part in _FUSED if part in name), None)
        if fused is None:
            out[_renamed(name, tensors)] = value
            continue
        names = [name.replace(fused, part) for part in _FUSED[fused]]
        out |= dict(zip(names, np.split(value, len(names)), strict=True))
    return out


def _renamed(name: str, tensors: Mapping[str, np.ndarray]) -> str:
    if (found := _BLOCK.fullmatch(name)) and found[2] in _BLOCK_NAMES:
        return f"{found[1]}.{_BLOCK_NAMES[found[2]]}.{found[3]}"
    if (found := _DINOV3_BLOCK.match(name)) and found["root"] + _DINOV3_START in tensors:
        return f"{found['root']}layer.{name[found.end() :]}"
    return _REGISTERS.sub("reg_token", _GATED_END.sub(".mlp.fc2.", name))


def joined(tensors: Mapping[str, np.ndarray], backbone: BackboneNames) -> dict[str, np.ndarray]:
    """Join again what a checkpoint of such a backbone keeps as one map."""
    out = dict(tensors)
    for fused, end in _FUSED_BY.get(backbone, {}).items():
        first = _FUSED[fused][0]
        gated = [name for name in tensors if first in name]
        for name in gated:
            parts = [out.pop(name.replace(first, part)) for part in _FUSED[fused]]
            out[name.replace(first, fused)] = np.concatenate(parts)
        if gated and end:
            out = {name.replace(".mlp.fc2.", end): value for name, value in out.items()}
    return out
