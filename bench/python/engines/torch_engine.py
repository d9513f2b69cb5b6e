from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable
from types import ModuleType

import torch
from torch import nn

from ..convolutions import Convolution
from ..norms import Norm
from ..operations import Operation
from ..pools import Pool
from ..sequences import SequenceOperation
from ..workloads import Workload
from . import torch_sequences


def modes(workload: Workload | Operation) -> list[str]:
    """Fused optimizers in all; "+tcmalloc" is preloaded by the caller of the process."""
    if isinstance(workload, Convolution | Norm | Pool):
        return ["eager+tcmalloc", "channels_last+tcmalloc"]
    if isinstance(workload, SequenceOperation):
        return ["eager", "eager+tcmalloc", "compile+tcmalloc"]
    if workload.is_trial:
        return trials().modes(workload.name)
    if workload.is_table or (workload.is_update and workload.optimizer in ("sgd", "adam")):
        return ["eager", "eager+tcmalloc"]
    if workload.is_update:  # the forms of the rule, where torch has it
        if not hasattr(torch.optim, workload.optimizer):
            return []
        arguments = inspect.signature(getattr(torch.optim, workload.optimizer)).parameters
        foreach = ["foreach"] if "foreach" in arguments else []
        fused = ["fused"] if workload.optimizer in ("SGD", "Adam", "AdamW", "Adagrad") else []
        return ["default", *foreach, *fused]
    if workload.ragged:  # padded: the sequences' lengths are left out of account
        return ["padded", "padded+tcmalloc", "packed", "packed+tcmalloc"]
    plain = ["eager", "eager+tcmalloc", "compile"]
    if not workload.is_convolutional:
        return plain
    return [*plain, "channels_last", "channels_last+tcmalloc", "channels_last+tcmalloc+compile"]


def trials() -> ModuleType:
    """Imported for those alone, as the examples bring Ravine into the process."""
    from . import torch_trials

    return torch_trials


def version() -> str:
    return torch.__version__


class Block(nn.Module):
    def __init__(self, before: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Sequential()
        if stride != 1 or before != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(before, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu_(self.bn1(self.conv1(x)))
        return torch.relu_(self.bn2(self.conv2(y)).add_(self.shortcut(x)))


class Recurrent(nn.Module):
    def __init__(self, workload: Workload, packed: bool) -> None:
        super().__init__()
        layer = nn.LSTM if workload.net == "lstm" else nn.GRU
        features, hidden = workload.sizes
        both = workload.bidirectional
        self.layers = layer(features, hidden, workload.layers, batch_first=True, bidirectional=both)
        self.head = nn.Linear(hidden * (2 if both else 1), workload.classes)
        self.lengths = torch.from_numpy(workload.lengths()) if packed else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        sequences = x
        if self.lengths is not None:
            sequences = nn.utils.rnn.pack_padded_sequence(x, self.lengths, True, enforce_sorted=False)
        _, last = self.layers(sequences)
        state = last[0] if isinstance(last, tuple) else last
        directions = 2 if self.layers.bidirectional else 1
        return self.head(torch.cat([state[-i] for i in range(directions, 0, -1)], -1))


class GPTBlock(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.in_proj, self.out_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.net = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, length, width = x.shape
        heads = self.in_proj(self.norm1(x)).view(n, length, 3, self.heads, width // self.heads)
        q, k, v = heads.permute(2, 0, 3, 1, 4)
        y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out_proj(y.transpose(1, 2).reshape(n, length, width))
        return x + self.net(self.norm2(x))


class Language(nn.Module):
    def __init__(self, workload: Workload) -> None:
        super().__init__()
        tokens, width = workload.sizes
        self.tokens, self.positions = nn.Embedding(tokens, width), nn.Embedding(workload.steps, width)
        self.blocks = nn.Sequential(*[GPTBlock(width, workload.heads) for _ in range(workload.layers)])
        self.norm = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(self.blocks(self.tokens(x) + self.positions.weight))
        return (y @ self.tokens.weight.T).flatten(0, 1)


def build(workload: Workload, mode: str = "eager") -> nn.Module:
    if workload.net == "tcn":
        return torch_sequences.TCN(workload)
    if workload.net == "gpt":
        return Language(workload)
    if workload.is_recurrent:
        return Recurrent(workload, packed="packed" in mode)
    if workload.net == "resnet18":
        w = workload.width
        blocks = [Block(w, w, 1), Block(w, w, 1)]
        for channels in (2 * w, 4 * w, 8 * w):
            blocks += [Block(channels // 2, channels, 2), Block(channels, channels, 1)]
        stem = [nn.Conv2d(3, w, 3, 1, 1, bias=False), nn.BatchNorm2d(w), nn.ReLU(inplace=True)]
        return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8 * w, 10))
    if workload.net == "lenet":
        return nn.Sequential(
            *(nn.Conv2d(1, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(True), nn.MaxPool2d(2)),
            *(
                nn.Conv2d(32, 64, 3, padding=1, bias=False),
                nn.BatchNorm2d(64),
                nn.ReLU(True),
                nn.MaxPool2d(2),
            ),
            *(nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(True), nn.Linear(128, 10)),
        )
    layers: list[nn.Module] = []
    for before, after in zip(workload.sizes[:-2], workload.sizes[1:-1], strict=True):
        layers.append(nn.Linear(before, after))
        layers += [nn.BatchNorm1d(after)] if workload.batch_norm else []
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers, nn.Linear(*workload.sizes[-2:]))


def optimizer_of(workload: Workload, parameters, mode: str = "fused") -> torch.optim.Optimizer:
    if workload.optimizer not in ("sgd", "adam"):
        form = {"default": {}, "foreach": {"foreach": True}, "fused": {"fused": True}}[mode]
        return getattr(torch.optim, workload.optimizer)(parameters, **form)
    if workload.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=1e-3, fused=True)
    return torch.optim.SGD(parameters, lr=0.01, momentum=0.9, nesterov=True, fused=True)


def prepare_update(workload: Workload, mode: str) -> Callable[[], float]:
    parameters = []
    for value, gradient in zip(*workload.parameters(), strict=True):
        parameters.append(nn.Parameter(torch.from_numpy(value)))
        parameters[-1].grad = torch.from_numpy(gradient)
    optimizer = optimizer_of(workload, parameters, mode)

    def step() -> float:
        optimizer.step()
        return 0.0

    return step


def prepare_inference(model: nn.Module, x: torch.Tensor, compiled: bool) -> Callable[[], float]:
    if compiled:
        torch.compiler.reset()
        torch._inductor.config.freezing = True  # weights are constants: BatchNorm folds into convolutions
    forward = torch.compile(model) if compiled else model

    @torch.inference_mode()
    def step() -> float:
        return forward(x)[0, 0].item()

    return step


def prepare_table(workload: Workload) -> Callable[[], float]:
    model = nn.Embedding(*workload.sizes, sparse=True)
    optimizer = getattr(torch.optim, workload.optimizer)(model.parameters())
    batches = itertools.cycle(torch.from_numpy(workload.indices()))

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = model(next(batches)).square().sum()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def prepare(workload: Workload, mode: str, threads: int) -> Callable[[], float]:
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    if workload.is_trial:
        return trials().prepare(workload.name, mode)
    if workload.is_update:
        return prepare_update(workload, mode)
    if workload.is_table:
        return prepare_table(workload)
    model = build(workload, mode)
    x, y = (torch.from_numpy(array) for array in workload.data())
    if "channels_last" in mode:
        model = model.to(memory_format=torch.channels_last)
        x = x.to(memory_format=torch.channels_last)
    if workload.inference:
        return prepare_inference(model.eval(), x, compiled="compile" in mode)
    optimizer = optimizer_of(workload, model.parameters())
    loss_of = nn.CrossEntropyLoss()

    def loss_on_batch() -> torch.Tensor:
        return loss_of(model(x), y)

    if "compile" in mode:
        torch.compiler.reset()  # forget earlier workloads, whose number would turn compilation off
    forward = torch.compile(loss_on_batch) if "compile" in mode else loss_on_batch

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = forward()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def prepare_operation(operation: Operation, mode: str, threads: int) -> Callable[[], float]:
    torch.set_num_threads(threads)
    if isinstance(operation, SequenceOperation):
        return torch_sequences.prepare(operation, mode)
    layout = torch.channels_last if "channels_last" in mode else torch.contiguous_format
    arrays = [torch.from_numpy(array) for array in operation.arrays()]
    tensors = [a.permute(0, 3, 1, 2).contiguous(memory_format=layout) if a.ndim == 4 else a for a in arrays]
    if isinstance(operation, Convolution):
        return prepare_convolution(operation, *tensors)
    if isinstance(operation, Pool):
        return prepare_pool(operation, *tensors)
    return prepare_norm(operation, *tensors)


def prepare_pool(pool: Pool, x: torch.Tensor) -> Callable[[], float]:
    function = nn.functional.max_pool2d if pool.kind == "max" else nn.functional.avg_pool2d

    def output() -> torch.Tensor:
        return function(x, pool.kernel, pool.stride, pool.padding)

    if pool.direction == "forward":

        @torch.inference_mode()
        def step() -> float:
            return output()[0, 0, 0, 0].item()

        return step
    x.requires_grad_()

    def step_with_gradient() -> float:
        y = output()
        return torch.autograd.grad(y, x, y.detach())[0][0, 0, 0, 0].item()

    return step_with_gradient


def prepare_norm(
    norm: Norm, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor
) -> Callable[[], float]:
    functional = nn.functional

    def output() -> torch.Tensor:
        if norm.kind == "layer":
            rows = x.permute(0, 2, 3, 1)
            return functional.layer_norm(rows, [norm.channels], weight, bias).permute(0, 3, 1, 2)
        if norm.kind == "group":
            return functional.group_norm(x, norm.groups, weight, bias)
        if norm.kind == "instance":
            return functional.instance_norm(x, None, None, weight, bias)
        y = functional.batch_norm(x, None, None, weight, bias, training=True)
        return torch.relu_(y) if norm.kind == "batch_relu" else y

    if norm.direction == "forward":

        @torch.inference_mode()
        def step() -> float:
            return output()[0, 0, 0, 0].item()

        return step
    wanted = [tensor.requires_grad_() for tensor in (x, weight, bias)]

    def step_with_gradients() -> float:
        y = output()
        return torch.autograd.grad(y, wanted, y.detach())[0][0, 0, 0, 0].item()

    return step_with_gradients


def prepare_convolution(
    convolution: Convolution, x: torch.Tensor, w: torch.Tensor, dy: torch.Tensor
) -> Callable[[], float]:
    stride, padding, dilation = (
        [n, n] for n in (convolution.stride, convolution.padding, convolution.dilation)
    )
    groups, wanted = (
        convolution.groups,
        [convolution.direction == name for name in ("grad_input", "grad_filter")],
    )

    @torch.inference_mode()
    def step() -> float:
        if convolution.direction == "forward":
            result = nn.functional.conv2d(x, w, None, stride, padding, dilation, groups)
        else:
            results = torch.ops.aten.convolution_backward(
                dy, x, w, None, stride, padding, dilation, False, [0, 0], groups, [*wanted, False]
            )
            result = results[0 if wanted[0] else 1]
        return result[0, 0, 0, 0].item()

    return step
