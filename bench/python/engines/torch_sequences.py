"""Operations and networks on sequences in torch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from ..sequences import Attention, SequenceOperation
from ..workloads import Workload


class CausalConvolution(nn.Module):
    def __init__(self, before: int, after: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.convolution = weight_norm(nn.Conv1d(before, after, kernel, dilation=dilation))
        self.padding = (kernel - 1) * dilation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.convolution(functional.pad(x, (self.padding, 0)))


class Block(nn.Module):
    def __init__(self, before: int, after: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = CausalConvolution(before, after, 3, dilation)
        self.conv2 = CausalConvolution(after, after, 3, dilation)
        self.shortcut = nn.Conv1d(before, after, 1) if before != after else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu_(self.conv2(torch.relu_(self.conv1(x))))
        return torch.relu_(y.add(self.shortcut(x)))


class TCN(nn.Module):
    """The logits of all steps in one matrix."""

    def __init__(self, workload: Workload) -> None:
        super().__init__()
        before, width = workload.sizes
        self.blocks = nn.Sequential(
            *(Block(width if i else before, width, 2**i) for i in range(workload.layers))
        )
        self.head = nn.Linear(width, workload.classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(x).transpose(1, 2)).flatten(0, 1)


def prepare(operation: SequenceOperation, mode: str) -> Callable[[], float]:
    tensors = [torch.from_numpy(array) for array in operation.arrays()]

    def output(*inputs: torch.Tensor) -> torch.Tensor:
        if isinstance(operation, Attention):
            return functional.scaled_dot_product_attention(*inputs, is_causal=operation.causal)
        x, w = inputs
        padded = functional.pad(x, (operation.padding, 0))
        return functional.conv1d(padded, w, None, 1, 0, operation.dilation, operation.groups)

    if "compile" in mode:
        torch.compiler.reset()
        output = torch.compile(output)
    if operation.direction == "forward":

        @torch.inference_mode()
        def step() -> float:
            return output(*tensors).flatten()[0].item()

        return step
    wanted = [tensor.requires_grad_() for tensor in tensors]

    def step_with_gradients() -> float:
        y = output(*wanted)
        return torch.autograd.grad(y, wanted, y.detach())[0].flatten()[0].item()

    return step_with_gradients
