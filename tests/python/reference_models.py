"""The networks of ravine.models in plain torch, named as torchvision and the papers' authors name theirs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm


def vgg(numbers: Sequence[int | str], batch_norm: bool, hidden: int, classes: int) -> nn.Module:
    """By the list of channels, "M" for a maximum."""
    layers: list[nn.Module] = []
    before = 3
    for n in numbers:
        if isinstance(n, str):
            layers.append(nn.MaxPool2d(2, 2))
            continue
        layers.append(nn.Conv2d(before, n, 3, padding=1))
        layers += [nn.BatchNorm2d(n), nn.ReLU()] if batch_norm else [nn.ReLU()]
        before = n

    class VGG(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Sequential(*layers)
            self.classifier = nn.Sequential(
                *(nn.Linear(before * 49, hidden), nn.ReLU(), nn.Dropout()),
                *(nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(), nn.Linear(hidden, classes)),
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.classifier(functional.adaptive_avg_pool2d(self.features(x), (7, 7)).flatten(1))

    return VGG()


class InvertedResidual(nn.Module):
    def __init__(self, before: int, after: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = before * expansion
        first = [] if expansion == 1 else [conv_bn_relu6(before, wide, 1, 1, 1)]
        self.conv = nn.Sequential(
            *first,
            conv_bn_relu6(wide, wide, 3, stride, wide),
            nn.Conv2d(wide, after, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.same = before == after and stride == 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x) + (x if self.same else 0)


def conv_bn_relu6(before: int, after: int, kernel: int, stride: int, groups: int) -> nn.Sequential:
    convolution = nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU6())


class MobileNetV2(nn.Module):
    """By the rounded channels: of the first, of each stage, of the last convolution."""

    def __init__(self, first: int, stages: Sequence[int], last: int, classes: int) -> None:
        super().__init__()
        blocks: list[nn.Module] = [conv_bn_relu6(3, first, 3, 2, 1)]
        settings = zip(
            (1, 6, 6, 6, 6, 6, 6), stages, (1, 2, 3, 4, 3, 3, 1), (1, 2, 2, 2, 1, 2, 1), strict=True
        )
        before = first
        for expansion, after, count, stride in settings:
            for i in range(count):
                blocks.append(InvertedResidual(before, after, stride if i == 0 else 1, expansion))
                before = after
        self.features = nn.Sequential(*blocks, conv_bn_relu6(before, last, 1, 1, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x).mean((2, 3)))


class Bottleneck(nn.Module):
    def __init__(self, before: int, planes: int, stride: int, base_width: int) -> None:
        super().__init__()
        width = planes * base_width // 64
        self.conv1, self.bn1 = nn.Conv2d(before, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * planes, 1, bias=False), nn.BatchNorm2d(4 * planes)
        if stride != 1 or before != 4 * planes:
            convolution = nn.Conv2d(before, 4 * planes, 1, stride, bias=False)
            self.downsample = nn.Sequential(convolution, nn.BatchNorm2d(4 * planes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        shortcut = self.downsample(x) if hasattr(self, "downsample") else x
        return functional.relu(self.bn3(self.conv3(y)) + shortcut)


class WideResNet50(nn.Module):
    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width)
        before = width
        for i, count in enumerate((3, 4, 6, 3)):
            blocks = []
            for j in range(count):
                blocks.append(Bottleneck(before, width * 2**i, 2 if i and not j else 1, 128))
                before = 4 * width * 2**i
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(before, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for i in range(4):
            x = getattr(self, f"layer{i + 1}")(x)
        return self.fc(x.mean((2, 3)))


class WideBlock(nn.Module):
    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(before), nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(after), nn.Conv2d(after, after, 3, 1, 1, bias=False)
        if before != after:
            self.convShortcut = nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        active = functional.relu(self.bn1(x))
        y = self.conv2(functional.relu(self.bn2(self.conv1(active))))
        return y + (self.convShortcut(active) if hasattr(self, "convShortcut") else x)


class WideStage(nn.Module):
    def __init__(self, count: int, before: int, after: int, stride: int) -> None:
        super().__init__()
        rest = [WideBlock(after, after, 1) for _ in range(count - 1)]
        self.layer = nn.Sequential(WideBlock(before, after, stride), *rest)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


class WideResNet(nn.Module):
    def __init__(self, depth: int, widen: int, first: int, classes: int) -> None:
        super().__init__()
        count, k = (depth - 4) // 6, first * widen
        self.conv1 = nn.Conv2d(3, first, 3, 1, 1, bias=False)
        self.block1, self.block2 = WideStage(count, first, k, 1), WideStage(count, k, 2 * k, 2)
        self.block3, self.bn1 = WideStage(count, 2 * k, 4 * k, 2), nn.BatchNorm2d(4 * k)
        self.fc = nn.Linear(4 * k, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.block3(self.block2(self.block1(self.conv1(x))))
        return self.fc(functional.relu(self.bn1(x)).mean((2, 3)))


class TemporalBlock(nn.Module):
    """Pads both sides and cuts the end off again."""

    def __init__(self, before: int, after: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.cut = (kernel - 1) * dilation
        for i, n in ((1, before), (2, after)):
            convolution = nn.Conv1d(n, after, kernel, padding=self.cut, dilation=dilation)
            setattr(self, f"conv{i}", weight_norm(convolution))
        if before != after:
            self.downsample = nn.Conv1d(before, after, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu(self.conv1(x)[..., : -self.cut])
        y = functional.relu(self.conv2(y)[..., : -self.cut])
        return functional.relu(y + (self.downsample(x) if hasattr(self, "downsample") else x))


class TCN(nn.Module):
    def __init__(self, inputs: int, channels: Sequence[int], outputs: int, kernel: int) -> None:
        super().__init__()
        widths = [inputs, *channels]
        self.network = nn.Sequential(
            *(TemporalBlock(widths[i], n, kernel, 2**i) for i, n in enumerate(channels))
        )
        self.linear = nn.Linear(channels[-1], outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(self.network(x).transpose(1, 2)).transpose(1, 2)


class DLRM(nn.Module):
    """`bot_l` and `top_l` by their widths, ends included."""

    def __init__(
        self, bottom: Sequence[int], tables: Sequence[int], top: Sequence[int], itself: bool
    ) -> None:
        super().__init__()

        def mlp(widths: Sequence[int], last: nn.Module) -> nn.Sequential:
            layers = [layer for a, b in itertools.pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())]
            return nn.Sequential(*layers[:-1], last)

        self.emb_l = nn.ModuleList([nn.EmbeddingBag(n, bottom[-1], mode="sum") for n in tables])
        self.bot_l, self.top_l, self.itself = mlp(bottom, nn.ReLU()), mlp(top, nn.Identity()), itself

    def forward(self, dense: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        bags = indices if indices.ndim == 3 else indices[..., None]
        x = self.bot_l(dense)
        vectors = [x, *(table(bags[:, i]) for i, table in enumerate(self.emb_l))]
        pairs = [
            (vectors[i] * vectors[j]).sum(1)
            for i in range(len(vectors))
            for j in range(i + 1 if self.itself else i)
        ]
        return self.top_l(torch.cat([x, torch.stack(pairs, 1)], 1))


def named(**modules: nn.Module) -> nn.Sequential:
    sequence = nn.Sequential()
    for name, module in modules.items():
        sequence.add_module(name, module)
    return sequence


class ReGLU(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b = x.chunk(2, -1)
        return a * b.relu()


class FTTransformer(nn.Module):
    """All tokens go through all blocks, products and softmax are written out."""

    def __init__(
        self, numbers: int, categories: Sequence[int], out: int, blocks: int, d: int, heads: int
    ) -> None:
        super().__init__()
        self.heads, hidden = heads, int(d * 4 / 3)

        def parameters(**shapes: tuple[int, ...]) -> nn.Module:
            holder = nn.Module()
            for name, shape in shapes.items():
                holder.register_parameter(name, nn.Parameter(torch.zeros(shape)))
            return holder

        self.cls_embedding = parameters(weight=(d,))
        if numbers:
            self.cont_embeddings = parameters(weight=(numbers, d), bias=(numbers, d))
        if categories:
            self.cat_embeddings = parameters(bias=(len(categories), d))
            self.cat_embeddings.embeddings = nn.ModuleList([nn.Embedding(n, d) for n in categories])
        self.backbone = nn.Module()
        self.backbone.blocks = nn.ModuleList()
        for i in range(blocks):
            block = nn.ModuleDict()
            if i:
                block["attention_normalization"] = nn.LayerNorm(d)
            block["attention"] = named(**{f"W_{name}": nn.Linear(d, d) for name in ("q", "k", "v", "out")})
            block["ffn_normalization"] = nn.LayerNorm(d)
            block["ffn"] = named(
                linear1=nn.Linear(d, 2 * hidden), activation=ReGLU(), linear2=nn.Linear(hidden, d)
            )
            self.backbone.blocks.append(block)
        self.backbone.output = named(
            normalization=nn.LayerNorm(d), activation=nn.ReLU(), linear=nn.Linear(d, out)
        )

    def attend(self, parts: Any, x: torch.Tensor) -> torch.Tensor:
        n, tokens, d = x.shape
        q, k, v = (
            projection(x).reshape(n, tokens, self.heads, d // self.heads).transpose(1, 2)
            for projection in (parts.W_q, parts.W_k, parts.W_v)
        )
        weights = torch.softmax(q @ k.transpose(2, 3) / (d // self.heads) ** 0.5, -1)
        return parts.W_out((weights @ v).transpose(1, 2).reshape(n, tokens, d))

    def forward(self, numbers: torch.Tensor | None, categories: torch.Tensor | None) -> torch.Tensor:
        tokens: list[torch.Tensor] = []
        if numbers is not None:
            tokens.append(numbers[..., None] * self.cont_embeddings.weight + self.cont_embeddings.bias)
        if categories is not None:
            tables = self.cat_embeddings.embeddings
            found = [table(categories[:, i]) for i, table in enumerate(tables)]
            tokens.append(torch.stack(found, 1) + self.cat_embeddings.bias)
        tokens.insert(0, self.cls_embedding.weight.expand(len(tokens[0]), 1, -1))
        x = torch.cat(tokens, 1)
        for block in self.backbone.blocks:
            y = block["attention_normalization"](x) if "attention_normalization" in block else x
            x = x + self.attend(block["attention"], y)
            x = x + block["ffn"](block["ffn_normalization"](x))
        return self.backbone.output(x[:, 0])


def perturbed(model: nn.Module) -> nn.Module:
    """With biases and scales that are not 0 and 1, and statistics that are not those of no data."""
    random = np.random.default_rng(0)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.dtype.is_floating_point:
                value += 0.05 * torch.tensor(random.standard_normal(tuple(value.shape)))
                if name.endswith("running_var"):
                    value.abs_()
    return model
