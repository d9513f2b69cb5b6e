"""Single convolutions, a pass each, and their table in effective GFLOP/s."""

from __future__ import annotations

import re
import statistics
from dataclasses import dataclass

import numpy as np

from .report import best_of, best_peer, heading, ratio_of, spread

PASSES = ("forward", "grad_input", "grad_filter")


@dataclass(frozen=True)
class Convolution:
    """One pass of a float32 convolution with "same" padding; images and filters lie channels last."""

    batch: int
    size: int  # height and width of the input
    channels: int
    out_channels: int
    kernel: int = 3
    stride: int = 1
    groups: int = 1
    dilation: int = 1
    direction: str = "forward"

    is_update = False
    is_convolutional = True

    @property
    def name(self) -> str:
        return (
            f"conv{self.batch}x{self.size}x{self.channels}-{self.out_channels}k{self.kernel}s{self.stride}"
            f"g{self.groups}d{self.dilation}:{self.direction}"
        )

    @property
    def padding(self) -> int:
        return self.kernel // 2 * self.dilation

    @property
    def out_size(self) -> int:
        return (self.size + 2 * self.padding - (self.kernel - 1) * self.dilation - 1) // self.stride + 1

    @property
    def flops(self) -> float:
        """Of the direct formula."""
        taps = self.kernel**2 * self.channels / self.groups
        return 2.0 * self.batch * self.out_size**2 * self.out_channels * taps

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Images [N, H, W, C], filters [O, kh, kw, C / groups], the output's gradient [N, H, W, O]."""
        random = np.random.default_rng(0)
        shapes = (
            (self.batch, self.size, self.size, self.channels),
            (self.out_channels, self.kernel, self.kernel, self.channels // self.groups),
            (self.batch, self.out_size, self.out_size, self.out_channels),
        )
        x, w, dy = (random.standard_normal(shape, dtype=np.float32) for shape in shapes)
        return x, w, dy


# Layers of LeNet, ResNet-18 (on 32x32, of widths 16 and 64, and on 224x224), VGG-16, MobileNet-V2; odd ones.
LAYERS = (
    (64, 28, 1, 32),
    (64, 14, 32, 64),
    (64, 32, 3, 16),
    (64, 32, 16, 16),
    (64, 16, 32, 32),
    (64, 8, 64, 64),
    (64, 4, 128, 128),
    (64, 32, 3, 64),
    (64, 32, 64, 64),
    (64, 32, 64, 128, 3, 2),
    (64, 32, 64, 128, 1, 2),
    (64, 16, 128, 128),
    (64, 16, 128, 256, 3, 2),
    (64, 8, 256, 256),
    (64, 8, 256, 512, 3, 2),
    (64, 4, 512, 512),
    (8, 224, 3, 64, 7, 2),
    (8, 56, 64, 64),
    (8, 28, 128, 128),
    (8, 14, 256, 256),
    (8, 7, 512, 512),
    (2, 224, 3, 64),
    (2, 224, 64, 64),
    (2, 112, 128, 128),
    (2, 56, 256, 256),
    (2, 28, 512, 512),
    (8, 112, 32, 32, 3, 1, 32),
    (8, 112, 16, 96, 1),
    (8, 112, 96, 96, 3, 2, 96),
    (8, 14, 384, 384, 3, 1, 384),
    (64, 32, 17, 17),
    (64, 28, 32, 64, 5),
    (64, 33, 48, 48, 3, 3),
    (64, 32, 32, 32, 3, 1, 1, 2),
    (64, 16, 128, 128, 3, 1, 4),
)
STAGES = ((64, 32, 64, 64), (64, 16, 128, 128), (64, 8, 256, 256), (64, 4, 512, 512))


def convolutions(layers: tuple[tuple[int, ...], ...] = LAYERS) -> list[Convolution]:
    return [Convolution(*layer, direction=direction) for layer in layers for direction in PASSES]


def find_convolution(name: str) -> Convolution | None:
    """The convolution of this name, or None where it is no convolution's."""
    match = re.fullmatch(r"conv(\d+)x(\d+)x(\d+)-(\d+)k(\d+)s(\d+)g(\d+)d(\d+):(\w+)", name)
    if match is None or match[9] not in PASSES:
        return None
    return Convolution(*(int(number) for number in match.groups()[:8]), direction=match[9])


def convolutions_markdown(report: dict) -> str:
    """A row a pass: effective GFLOP/s of each engine's best mode, and the best peer's time by Ravine's."""
    names = list(dict.fromkeys(r["engine"] for workload in report["workloads"] for r in workload["results"]))
    lines = [
        heading(report),
        "",
        f"GFLOP/s of the direct formula: median of {report['rounds']} rounds, ± half their range.",
        "",
        "| convolution | " + " | ".join(names) + " | best peer's mode | ratio |",
        "|---" * (len(names) + 3) + "|",
    ]
    ratios = []
    for workload in report["workloads"]:
        convolution, results = find_convolution(workload["workload"]), workload["results"]
        assert convolution is not None
        cells = []
        for name in names:
            best = best_of(results, name)
            cells.append(f"{convolution.flops / best['median'] * 1e-9:.0f} {spread(best)}" if best else "")
        peer, ratio = best_peer(results), ratio_of(results)
        cells += [peer["mode"] if peer else "", f"{ratio:.2f}" if ratio else ""]
        ratios += [ratio] if ratio else []
        lines.append(f"| {convolution.name} | " + " | ".join(cells) + " |")
    if ratios:
        lines += ["", f"Geometric mean of the ratios: {statistics.geometric_mean(ratios):.2f}."]
    return "\n".join(lines) + "\n"
