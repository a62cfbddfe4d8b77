"""The pre-training step in PyTorch: same network, loss, optimiser and kind of views."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

# Blocks of each stage, by the name of JAX's network.
BLOCKS = {"resnet_small": (1, 1, 1), "resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# So small that the network stays what it is, and losses can be compared.
LEARNING_RATE = 1e-7


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + self.downsample(x))


class Backbone(nn.Module):
    def __init__(self, blocks: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.stages = [f"layer{stage + 1}" for stage in range(len(blocks))]
        inputs = width
        for stage, count in enumerate(blocks):
            outputs, layers = width * 2**stage, []
            for index in range(count):
                layers.append(Block(inputs, outputs, 2 if stage and not index else 1))
                inputs = outputs
            setattr(self, self.stages[stage], nn.Sequential(*layers))
        self.outputs = inputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        for stage in self.stages:
            x = getattr(self, stage)(x)
        return x.mean((2, 3))


class Network(nn.Module):
    """Names as in the checkpoints of Contrastive Clustering, so that ours can be loaded."""

    def __init__(self, network: str, width: int, clusters: int, instance: int = 128) -> None:
        super().__init__()
        self.resnet = Backbone(BLOCKS[network], width)
        d = self.resnet.outputs

        def head(outputs: int) -> nn.Sequential:
            return nn.Sequential(nn.Linear(d, d), nn.ReLU(), nn.Linear(d, outputs))

        self.instance_projector = head(instance)
        self.cluster_projector = head(clusters)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.resnet(x)
        instance = functional.normalize(self.instance_projector(x), dim=1)
        return instance, self.cluster_projector(x)


def contrastive_loss(instance: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Instance contrast at 0.5, cluster contrast at 1 and the entropy of the clusters."""
    instance, probs = instance.float(), logits.float().softmax(1)
    return (
        _contrast(instance @ instance.T / 0.5)
        + _contrast(_cosines(torch.cat(probs.chunk(2), dim=1).T))
        + sum(_negative_entropy(half) for half in probs.chunk(2))
    )


def _contrast(similarity: torch.Tensor) -> torch.Tensor:
    count = len(similarity)
    partner = torch.arange(count, device=similarity.device).roll(count // 2)
    own = torch.eye(count, dtype=torch.bool, device=similarity.device)
    return functional.cross_entropy(similarity.masked_fill(own, -torch.inf), partner)


def _cosines(columns: torch.Tensor) -> torch.Tensor:
    unit = functional.normalize(columns, dim=1)
    return unit @ unit.T


def _negative_entropy(probs: torch.Tensor) -> torch.Tensor:
    share = probs.sum(0) / probs.sum()
    return math.log(len(share)) + (share * (share + 1e-8).log()).sum()


def views(images: torch.Tensor, scale: tuple[float, float], jitter: float) -> torch.Tensor:
    """Random resized crop, mirror, colours and grey of uint8 ``[b, c, h, w]``, drawn per image."""
    x = images.float() / 255
    count = len(x)
    area = _draw(x, *scale)
    aspect = _draw(x, -0.288, 0.288).exp()
    wide, high = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
    flip = torch.where(_draw(x) < 0.5, -1.0, 1.0)
    theta = torch.zeros(count, 2, 3, device=x.device)
    theta[:, 0, 0], theta[:, 1, 1] = wide * flip, high
    theta[:, 0, 2] = (1 - wide) * _draw(x, -1, 1)
    theta[:, 1, 2] = (1 - high) * _draw(x, -1, 1)
    grid = functional.affine_grid(theta, list(x.shape), align_corners=False)
    x = functional.grid_sample(x, grid, align_corners=False, padding_mode="border")
    return _colours(x, jitter)


def _colours(x: torch.Tensor, jitter: float) -> torch.Tensor:
    """Brightness, contrast and saturation for eight images in ten, grey for two."""
    per_image = (len(x), 1, 1, 1)
    weights = torch.tensor([0.299, 0.587, 0.114], device=x.device).view(1, 3, 1, 1)
    changed = x
    for step in range(3):
        gray = (changed * weights).sum(1, keepdim=True)
        base = (torch.zeros_like(gray), gray.mean((2, 3), keepdim=True), gray)[step]
        factor = _draw(x, 1 - jitter, 1 + jitter).view(per_image)
        changed = (base + factor * (changed - base)).clamp(0, 1)
    x = torch.where(_draw(x).view(per_image) < 0.8, changed, x)
    gray = (x * weights).sum(1, keepdim=True).expand_as(x)
    return torch.where(_draw(x).view(per_image) < 0.2, gray, x)


def _draw(x: torch.Tensor, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
    """One number for each image of ``x``, where ``x`` is."""
    return torch.empty(len(x), device=x.device).uniform_(low, high)


class Trainer:
    """One network with its optimiser; ``step`` is one training step."""

    def __init__(
        self,
        network: str,
        width: int,
        clusters: int,
        state: Mapping[str, torch.Tensor],
        *,
        channels_last: bool,
        half: bool,
        compiled: bool,
    ) -> None:
        self.network = Network(network, width, clusters)
        self.network.load_state_dict(state)
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.network.to(DEVICE, memory_format=self.format)
        self.half = half
        self.call = torch.compile(self.network) if compiled else self.network
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), LEARNING_RATE, weight_decay=1e-4
        )

    def step(self, shown: torch.Tensor) -> torch.Tensor:
        shown = shown.contiguous(memory_format=self.format)
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(DEVICE, torch.bfloat16, enabled=self.half):
            instance, logits = self.call(shown)
        loss = contrastive_loss(instance, logits)
        loss.backward()
        self.optimizer.step()
        return loss.detach()
