"""The published networks, built in PyTorch from their description, with random weights."""

import numpy as np
import torch
from torch import nn

# Blocks of each stage, and whether they are bottlenecks.
DEPTHS = {18: ((2, 2, 2, 2), False), 34: ((3, 4, 6, 3), False), 50: ((3, 4, 6, 3), True)}


class Block(nn.Module):
    """Two 3x3 convolutions, or a bottleneck of three."""

    def __init__(self, inputs, width, stride, bottleneck=False):
        super().__init__()
        outputs = 4 * width if bottleneck else width
        sizes = [(inputs, width, 3, stride), (width, outputs, 3, 1)]
        if bottleneck:
            sizes = [(inputs, width, 1, 1), (width, width, 3, stride), (width, outputs, 1, 1)]
        for number, (a, b, size, step) in enumerate(sizes, start=1):
            setattr(self, f"conv{number}", nn.Conv2d(a, b, size, step, size // 2, bias=False))
            setattr(self, f"bn{number}", nn.BatchNorm2d(b))
        self.count = len(sizes)
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )
        else:
            self.downsample = nn.Identity()

    def forward(self, x):
        y = x
        for number in range(1, self.count + 1):
            y = torch.relu(y) if number > 1 else y
            y = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(y))
        return torch.relu(y + self.downsample(x))


class ResNet(nn.Module):
    """torchvision's names; ``depth`` is 18, 34 or 50."""

    def __init__(self, depth, stem="imagenet", fc=None, dead_norm=False, width=64):
        super().__init__()
        blocks, bottleneck = DEPTHS[depth]
        size, stride, pad = (7, 2, 3) if stem == "imagenet" else (3, 1, 1)
        self.conv1 = nn.Conv2d(3, width, size, stride, pad, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        if dead_norm:
            self.bn2 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if stem == "imagenet" else nn.Identity()
        inputs = width
        for stage, count in enumerate(blocks):
            inner, layers = width * 2**stage, []
            for index in range(count):
                layers.append(Block(inputs, inner, 2 if stage and not index else 1, bottleneck))
                inputs = inner * (4 if bottleneck else 1)
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))
        self.features = inputs
        if fc is not None:
            self.fc = nn.Linear(inputs, fc)
            self.features = fc

    def forward(self, x):
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        for stage in range(4):
            x = getattr(self, f"layer{stage + 1}")(x)
        x = x.mean((2, 3))
        return self.fc(x) if hasattr(self, "fc") else x


def sequential(resnet, stem):
    """ProPos's form: the layers as numbered children."""
    layers = [resnet.conv1, resnet.bn1, nn.ReLU()]
    if stem == "imagenet":
        layers.append(resnet.maxpool)
    layers += [resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


class ProPos(nn.Module):
    """Two encoders and two projectors; it clusters what the slow ones make."""

    def __init__(self, depth, stem, width=64, hidden=4096, out=256):
        super().__init__()

        def encoder():
            return ResNet(depth, stem, width=width)

        features = encoder().features
        for part in "qk":
            setattr(self, f"encoder_{part}", sequential(encoder(), stem))
            projector = nn.Sequential(
                nn.Linear(features, hidden),
                nn.BatchNorm1d(hidden),
                nn.ReLU(),
                nn.Linear(hidden, out),
            )
            setattr(self, f"projector_{part}", projector)
        self.predictor = nn.Sequential(nn.Linear(out, out))
        # So that every weight of the slow ones is in the file twice, as in the published ones.
        self.encoder = nn.Sequential(self.encoder_k, self.projector_k)

    def forward(self, x):
        return (self.projector_k(self.encoder_k(x)),)


def head(layout, features, outputs):
    def tail(width):
        return nn.Linear(features, width)

    if layout == "plain":
        return nn.Sequential(tail(features), nn.ReLU(), tail(outputs))
    if layout == "relu_first":
        return nn.Sequential(nn.ReLU(), tail(features), nn.ReLU(), tail(outputs))
    halves = [[nn.BatchNorm1d(features), nn.ReLU(), tail(width)] for width in (features, outputs)]
    return nn.Sequential(*halves[0], *halves[1])


class Attention(nn.Module):
    """PCL's, over the samples of a batch, in eight heads."""

    def __init__(self, width):
        super().__init__()
        for name in "qkv":
            setattr(self, f"linear_{name}", nn.Linear(width, width, bias=False))

    def forward(self, x):
        q, k, v = (getattr(self, f"linear_{n}")(x).view(len(x), 8, -1) for n in "qkv")
        weights = torch.softmax(torch.einsum("bhd,chd->hbc", q, k) / q.shape[-1] ** 0.5, dim=-1)
        return torch.einsum("hbc,chd->bhd", weights, v).reshape(x.shape)


class Clustering(nn.Module):
    """Backbone and two projectors: CC, both TCLs, and PCL with its attention."""

    def __init__(self, depth, layout, clusters, *, fc=None, attention=False, width=64):
        super().__init__()
        self.resnet = ResNet(depth, fc=fc, dead_norm=attention, width=width)
        features = self.resnet.features
        if attention:
            self.selfAttention = Attention(features)
        self.instance_projector = head(layout, features, 128)
        self.cluster_projector = head(layout, features, clusters)

    def forward(self, x):
        x = self.resnet(x)
        if hasattr(self, "selfAttention"):
            x = self.selfAttention(x)
        instance = nn.functional.normalize(self.instance_projector(x), dim=1)
        return x, instance, self.cluster_projector(x)


class LayerNorm2d(nn.LayerNorm):
    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    """torchvision's names, with its permutations as modules so that the indices are its own."""

    def __init__(self, width):
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(width, width, 7, padding=3, groups=width),
            nn.Identity(),
            nn.LayerNorm(width, eps=1e-6),
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Linear(4 * width, width),
        )
        self.layer_scale = nn.Parameter(torch.rand(width, 1, 1))

    def forward(self, x):
        y = self.block[0](x).permute(0, 2, 3, 1)
        y = self.block[2:](y).permute(0, 3, 1, 2)
        return x + self.layer_scale * y


class ConvNeXt(nn.Module):
    def __init__(self, width=96, blocks=(3, 3, 9, 3)):
        super().__init__()
        widths, layers = [width * 2**stage for stage in range(4)], []
        layers.append(nn.Sequential(nn.Conv2d(3, width, 4, 4), LayerNorm2d(width, eps=1e-6)))
        for stage, (count, width) in enumerate(zip(blocks, widths, strict=True)):
            if stage:
                before = widths[stage - 1]
                down = nn.Conv2d(before, width, 2, 2)
                layers.append(nn.Sequential(LayerNorm2d(before, eps=1e-6), down))
            layers.append(nn.Sequential(*(ConvNeXtBlock(width) for _ in range(count))))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.LayerNorm(width, eps=1e-6), nn.Flatten(), nn.Linear(width, 10)
        )

    def forward(self, x):
        return self.classifier[0](self.features(x).mean((2, 3)))


def timm_convnext_names(state):
    """The same ConvNeXt as timm calls it."""
    renamed = {}
    for name, value in state.items():
        parts = name.split(".")
        if parts[0] == "classifier":
            new = ("head.norm." if parts[1] == "0" else "head.fc.") + parts[2]
        elif parts[1] == "0":
            new = f"stem.{parts[2]}.{parts[3]}"
        elif int(parts[1]) % 2 == 0:
            new = f"stages.{int(parts[1]) // 2}.downsample.{parts[2]}.{parts[3]}"
        else:
            inner = {"0": "conv_dw", "2": "norm", "3": "mlp.fc1", "5": "mlp.fc2"}
            tail = "gamma" if parts[3] == "layer_scale" else f"{inner[parts[4]]}.{parts[5]}"
            new = f"stages.{(int(parts[1]) - 1) // 2}.blocks.{parts[2]}.{tail}"
        renamed[new] = value.reshape(-1) if name.endswith("layer_scale") else value
    return renamed


def randomised(network, seed=0):
    """Random weights of BatchNorm, and statistics as a training leaves them.

    With the defaults a wrong match would not show, and without the statistics of images of some
    kind a deep network gives nearly the same for all of them.
    """
    generator = torch.Generator().manual_seed(seed)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    for module in norms:
        shape = module.weight.shape
        module.weight.data = 0.5 + torch.rand(shape, generator=generator)
        module.bias.data = 0.2 * torch.randn(shape, generator=generator)
        module.running_mean = 0.2 * torch.randn(shape, generator=generator)
        module.num_batches_tracked += 7
        module.momentum = 1.0
    soft = torch.randn((32, 3, 6, 6), generator=generator)
    images = nn.functional.interpolate(soft, size=(64, 64), mode="bicubic")
    images = images + 0.3 * torch.randn(images.shape, generator=generator)
    with torch.no_grad():
        network.train()(images)
    return network.eval()


class SamePad(nn.Module):
    """TensorFlow's padding, which the weights of EfficientNet-Lite were trained with."""

    def __init__(self, size, stride):
        super().__init__()
        self.size, self.stride = size, stride

    def forward(self, x):
        pads = []
        for side in (x.shape[3], x.shape[2]):
            total = max((-(-side // self.stride) - 1) * self.stride + self.size - side, 0)
            pads += [total // 2, total - total // 2]
        return nn.functional.pad(x, pads)


def lite_norm(width):
    return nn.BatchNorm2d(width, eps=1e-3, momentum=0.01)


class LiteBlock(nn.Module):
    def __init__(self, inputs, outputs, size, stride, expand):
        super().__init__()
        wide = inputs * expand
        if expand != 1:
            self._expand_conv = nn.Conv2d(inputs, wide, 1, bias=False)
            self._bn0 = lite_norm(wide)
        self.pad = SamePad(size, stride)
        self._depthwise_conv = nn.Conv2d(wide, wide, size, stride, groups=wide, bias=False)
        self._bn1 = lite_norm(wide)
        self._project_conv = nn.Conv2d(wide, outputs, 1, bias=False)
        self._bn2 = lite_norm(outputs)

    def forward(self, x):
        y = x
        if hasattr(self, "_expand_conv"):
            y = nn.functional.relu6(self._bn0(self._expand_conv(y)))
        y = nn.functional.relu6(self._bn1(self._depthwise_conv(self.pad(y))))
        y = self._bn2(self._project_conv(y))
        return x + y if x.shape == y.shape else y


LITE0 = [
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
]


class EfficientNetLite0(nn.Module):
    def __init__(self):
        super().__init__()
        self.pad = SamePad(3, 2)
        self._conv_stem = nn.Conv2d(3, 32, 3, 2, bias=False)
        self._bn0 = lite_norm(32)
        blocks, inputs = [], 32
        for count, size, stride, expand, outputs in LITE0:
            for index in range(count):
                blocks.append(LiteBlock(inputs, outputs, size, 1 if index else stride, expand))
                inputs = outputs
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = nn.Conv2d(320, 1280, 1, bias=False)
        self._bn1 = lite_norm(1280)
        self._fc = nn.Linear(1280, 10)

    def forward(self, x):
        x = nn.functional.relu6(self._bn0(self._conv_stem(self.pad(x))))
        for block in self._blocks:
            x = block(x)
        return nn.functional.relu6(self._bn1(self._conv_head(x))).mean((2, 3))


def timm_dinov2_names(state):
    """transformers' DINOv2 as timm and the authors call it, with one joint qkv."""
    words = [
        ("embeddings.patch_embeddings.projection", "patch_embed.proj"),
        ("embeddings.position_embeddings", "pos_embed"),
        ("embeddings.cls_token", "cls_token"),
        ("embeddings.mask_token", "mask_token"),
        ("embeddings.register_tokens", "reg_token"),
        ("encoder.layer.", "blocks."),
        ("attention.output.dense", "attn.proj"),
        ("layer_scale1.lambda1", "ls1.gamma"),
        ("layer_scale2.lambda1", "ls2.gamma"),
        ("layernorm", "norm"),
    ]
    renamed = {}
    for name, value in state.items():
        new = name
        for old, replacement in words:
            new = new.replace(old, replacement)
        if "attention.attention.query" in new:
            parts = [state[name.replace("query", part)] for part in ("query", "key", "value")]
            renamed[new.replace("attention.attention.query", "attn.qkv")] = np.concatenate(parts)
        elif "attention.attention" not in new:
            renamed[new] = value
    return renamed
