"""Text towers beside transformers' own, and what is told of files that hold something else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="parity with PyTorch needs it (pip install .[parity])")
transformers = pytest.importorskip("transformers", reason="holds the reference networks")
tokenizers = pytest.importorskip("tokenizers", reason="reads words (pip install .[words])")

from idc_jax.errors import UserError  # noqa: E402
from idc_jax.models.importing import read_checkpoint  # noqa: E402
from idc_jax.models.importing.text import vectors_of  # noqa: E402

SENTENCES = ("a photo of Red", "a photo of blue", "a photo of a dog!", "a " * 30)
PLAIN = ("a", "photo", "of", "red", "Red", "blue", "dog", "!", "[unk]")
ENDS = {
    "clip": ("<|startoftext|>", "<|endoftext|>"),
    "siglip": ("<unused>", "</s>"),
    "siglip2": ("<pad>", "<eos>"),
}
ROOM = 12


def save_tokenizer(folder: Path, kind: str) -> dict[str, int]:
    """Words apart by spaces, and the tokens at their ends; the number of each."""
    numbers = {word: number for number, word in enumerate((*ENDS[kind], *PLAIN))}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(numbers, unk_token="[unk]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.save(str(folder / "tokenizer.json"))
    return numbers


def save(folder: Path, kind: str, **options: Any) -> Any:
    """A small network with random weights, as its authors save it."""
    torch.manual_seed(0)
    sizes = {
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "intermediate_size": 40,
    }
    text = sizes | {"vocab_size": 20, "max_position_embeddings": ROOM} | options
    vision = sizes | {"image_size": 8, "patch_size": 4}
    if kind == "clip":
        # The end token is looked for by its number.
        config = transformers.CLIPConfig(
            text_config=text | {"eos_token_id": 1, "bos_token_id": 0},
            vision_config=vision,
            projection_dim=16,
        )
        network = transformers.CLIPModel(config)
    else:
        config = transformers.SiglipConfig(text_config=text, vision_config=vision)
        network = transformers.SiglipModel(config)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    network.eval().save_pretrained(folder)
    return network


def by_transformers(network: Any, tokens: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        found = network.get_text_features(input_ids=torch.from_numpy(tokens))
    found = found if isinstance(found, torch.Tensor) else found.pooler_output
    return torch.nn.functional.normalize(found, dim=-1).numpy()


def tokens_of(numbers: dict[str, int], kind: str) -> np.ndarray:
    """The sentences as the authors of each network show them."""
    first, end = (numbers[name] for name in ENDS[kind])
    fill = first if kind == "siglip2" else end
    rows = []
    for sentence in SENTENCES:
        plain = sentence if kind == "clip" else sentence.lower()
        plain = plain.replace("!", "" if kind == "siglip" else " !")
        ids = [numbers[word] for word in plain.split()]
        row = [first, *ids[: ROOM - 2], end] if kind == "clip" else [*ids[: ROOM - 1], end]
        rows.append(row + [fill] * (ROOM - len(row)))
    return np.array(rows)


@pytest.mark.parametrize("kind", ENDS)
@pytest.mark.parametrize("act", [None, "gelu"])
def test_sentences_have_the_vectors_that_transformers_gives_them(
    tmp_path: Path, kind: str, act: str | None
) -> None:
    numbers = save_tokenizer(tmp_path, kind)
    network = save(tmp_path, kind, **({"hidden_act": act} if act else {}))
    found = vectors_of(tmp_path, SENTENCES)
    wanted = by_transformers(network, tokens_of(numbers, kind))
    np.testing.assert_allclose(found, wanted, atol=2e-5)
    assert np.abs(found[0] - found[1]).max() > 1e-3


def test_what_is_no_text_tower_is_told_in_a_line(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save(tmp_path, "clip")
    with pytest.raises(UserError, match=r"tokenizer\.json is missing: it lies beside the weights"):
        vectors_of(tmp_path, SENTENCES)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="is not a tokenizer"):
        vectors_of(tmp_path, SENTENCES)
    save_tokenizer(tmp_path, "siglip")
    with pytest.raises(UserError, match=r"tokenizer\.json is not that of the text tower"):
        vectors_of(tmp_path, SENTENCES)
    save_tokenizer(tmp_path, "clip")
    (tmp_path / "config.json").write_text(json.dumps({"text_config": {"num_attention_heads": 5}}))
    with pytest.raises(UserError, match="has 5 heads, which do not divide 24"):
        vectors_of(tmp_path, SENTENCES)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        vectors_of(tmp_path, SENTENCES)
    (tmp_path / "config.json").unlink()
    tensors = read_checkpoint(tmp_path)
    for left_out, message in {
        "text_model.encoder.layers.1.mlp.fc2.bias": r"lacks encoder\.layers\.1\.mlp\.fc2\.bias",
        "text_projection.weight": "without its projection",
        "text_model.embeddings.token_embedding.weight": "holds no text tower",
    }.items():
        kept = {name: value for name, value in tensors.items() if name != left_out}
        save_file(kept, tmp_path / "model.safetensors")
        with pytest.raises(UserError, match=message) as refused:
            vectors_of(tmp_path, SENTENCES)
        assert "use a whole CLIP" in str(refused.value)
    few = {n: v[:3] if n.endswith("token_embedding.weight") else v for n, v in tensors.items()}
    save_file(few, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="the text tower 3 tokens"):
        vectors_of(tmp_path, SENTENCES)
