from __future__ import annotations

import itertools
from collections.abc import Callable

import ravine as rv
from ravine import _core, nn, optim
from ravine.optim._bound import BoundOptimizer
from ravine.record import Tensor, Trace, recording_into

from ..convolutions import Convolution
from ..norms import Norm
from ..operations import Operation
from ..pools import Pool
from ..sequences import SequenceOperation
from ..workloads import Workload
from . import ravine_sequences, ravine_trials


def modes(workload: Workload | Operation) -> list[str]:
    return ["default"]


def version() -> str:
    return rv.__version__


class Recurrent(nn.Module):
    def __init__(self, workload: Workload) -> None:
        super().__init__()
        layer = nn.LSTM if workload.net == "lstm" else nn.GRU
        features, hidden = workload.sizes
        both = workload.bidirectional
        self.layers = layer(features, hidden, workload.layers, batch_first=True, bidirectional=both)
        self.head = nn.Linear(hidden * (2 if both else 1), workload.classes)
        self.lengths = workload.lengths()

    def forward(self, x: Tensor) -> Tensor:
        _, last = self.layers(x, lengths=self.lengths)
        state = last[0] if isinstance(last, tuple) else last
        directions = 2 if self.layers.bidirectional else 1
        return self.head(rv.ops.concat([state[-i] for i in range(directions, 0, -1)], -1))


class Language(nn.Module):
    """The logits of all tokens in one matrix."""

    def __init__(self, workload: Workload) -> None:
        super().__init__()
        tokens, width = workload.sizes
        self.gpt = rv.models.gpt(
            tokens,
            context_length=workload.steps,
            num_layers=workload.layers,
            embed_dim=width,
            num_heads=workload.heads,
        )
        self.tokens = tokens

    def forward(self, x: Tensor) -> Tensor:
        return self.gpt(x).reshape((-1, self.tokens))


class Stepwise(nn.Module):
    """The logits of all steps in one matrix."""

    def __init__(self, workload: Workload) -> None:
        super().__init__()
        before, width = workload.sizes
        self.tcn = rv.models.tcn(before, (width,) * workload.layers, workload.classes, dropout=0.0)
        self.classes = workload.classes

    def forward(self, x: Tensor) -> Tensor:
        return self.tcn(x).permute((0, 2, 1)).reshape((-1, self.classes))


def build(workload: Workload) -> nn.Module:
    if workload.net == "tcn":
        return Stepwise(workload)
    if workload.net == "gpt":
        return Language(workload)
    if workload.is_recurrent:
        return Recurrent(workload)
    if workload.net == "resnet18":
        return rv.models.resnet18(3, 10, width=workload.width)
    if workload.net == "lenet":
        return nn.Sequential(
            *(nn.Conv2d(1, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10)),
        )
    layers: list[nn.Module] = []
    for before, after in zip(workload.sizes[:-2], workload.sizes[1:-1], strict=True):
        layers.append(nn.Linear(before, after))
        layers += [nn.BatchNorm1d(after)] if workload.batch_norm else []
        layers.append(nn.ReLU())
    return nn.Sequential(*layers, nn.Linear(*workload.sizes[-2:]))


def optimizer_of(workload: Workload) -> optim.Optimizer:
    if hasattr(optim, workload.optimizer):
        return getattr(optim, workload.optimizer)()
    if workload.optimizer == "adam":
        return optim.Adam(lr=1e-3)
    return optim.SGD(lr=0.01, momentum=0.9, nesterov=True)


def prepare_update(workload: Workload) -> Callable[[], float]:
    """A program of the update alone, with gradients that stay where they are."""
    values, gradients = workload.parameters()
    parameters = {f"p{i}": nn.Parameter(value) for i, value in enumerate(values)}
    bound = BoundOptimizer(optimizer_of(workload))
    bound.bind(list(parameters.items()), parameters)
    held = {name: nn.Parameter(value) for name, value in zip(parameters, gradients, strict=True)}
    with recording_into(Trace()) as trace:
        slopes = [trace.state(gradient.array) for gradient in held.values()]
        bound.update(trace, bound.prepare(trace, slopes))
    program = _core.Program(trace.graph, [])

    def step() -> float:
        bound.before_run()
        program.run([])
        return 0.0

    return step


def prepare_inference(workload: Workload) -> Callable[[], float]:
    model = build(workload).eval()
    x, _ = workload.data()
    return lambda: float(model(x)[0, 0])


def prepare_table(workload: Workload) -> Callable[[], float]:
    model = nn.Embedding(*workload.sizes, sparse=True)
    step = rv.TrainStep(lambda table, i: (table(i) ** 2).sum(), model, optimizer_of(workload))
    batches = itertools.cycle(workload.indices())
    return lambda: step(next(batches))


def prepare(workload: Workload, mode: str, threads: int) -> Callable[[], float]:
    rv.set_num_threads(threads)
    rv.seed(0)
    if workload.is_trial:
        return ravine_trials.TRIALS[workload.name]()
    if workload.is_update:
        return prepare_update(workload)
    if workload.is_table:
        return prepare_table(workload)
    if workload.inference:
        return prepare_inference(workload)
    step = rv.TrainStep(build(workload), nn.CrossEntropyLoss(), optimizer_of(workload))
    x, y = workload.data()
    return lambda: step(x, y)


def prepare_operation(operation: Operation, mode: str, threads: int) -> Callable[[], float]:
    """A program on arrays that stay where they are, and whose results stay inside."""
    rv.set_num_threads(threads)
    if isinstance(operation, SequenceOperation):
        return ravine_sequences.prepare(operation)
    trace = Trace()
    graph = trace.graph
    values = [graph.state(nn.Parameter(array).array) for array in operation.arrays()]
    values = [
        graph.apply("transpose", [value], {"axes": (0, 3, 1, 2)})[0] if len(value.shape) == 4 else value
        for value in values
    ]
    if isinstance(operation, Convolution):
        results = [record_convolution(graph, operation, *values)]
    else:
        with recording_into(trace):
            record = record_pool if isinstance(operation, Pool) else record_norm
            results = record(trace, operation, *values)
    bounds = {"start": (0, 0, 0, 0), "stop": (1, 1, 1, 1), "step": (1, 1, 1, 1)}
    outputs = [
        graph.apply("slice", [result], bounds)[0] if len(result.shape) == 4 else result for result in results
    ]
    program = _core.Program(graph, outputs)

    return lambda: float(program.run([])[0][0, 0, 0, 0])


def record_norm(
    trace: Trace, norm: Norm, x: _core.Value, weight: _core.Value, bias: _core.Value
) -> list[_core.Value]:
    images, w, b = (Tensor(value, trace) for value in (x, weight, bias))
    if norm.kind == "layer":
        rows = rv.ops.layer_norm(images.permute((0, 2, 3, 1)), norm.channels, w, b)
        y = rows.permute((0, 3, 1, 2))
    elif norm.kind == "group":
        y = rv.ops.group_norm(images, norm.groups, w, b)
    elif norm.kind == "instance":
        y = rv.ops.instance_norm(images, None, None, w, b)
    else:
        y = rv.ops.batch_norm(images, None, None, w, b, training=True)
    y = rv.ops.relu(y) if norm.kind == "batch_relu" else y
    output = y._as_value(trace)
    if norm.direction == "forward":
        return [output]
    weighted = (y * y.detach()).sum()._as_value(trace)
    return [output, *trace.graph.gradients(weighted, [x, weight, bias])]


def record_pool(trace: Trace, pool: Pool, x: _core.Value) -> list[_core.Value]:
    function = rv.ops.max_pool2d if pool.kind == "max" else rv.ops.avg_pool2d
    y = function(Tensor(x, trace), pool.kernel, pool.stride, pool.padding)
    output = y._as_value(trace)
    if pool.direction == "forward":
        return [output]
    weighted = (y * y.detach()).sum()._as_value(trace)
    return [output, *trace.graph.gradients(weighted, [x])]


def record_convolution(
    graph: _core.Graph, convolution: Convolution, x: _core.Value, w: _core.Value, dy: _core.Value
) -> _core.Value:
    attributes = {
        "stride": convolution.stride,
        "padding": convolution.padding,
        "dilation": convolution.dilation,
        "groups": convolution.groups,
    }
    if convolution.direction == "forward":
        (result,) = graph.apply("conv2d", [x, w], attributes)
    elif convolution.direction == "grad_input":
        (result,) = graph.apply("conv2d_grad_input", [dy, w], attributes | {"input_shape": x.shape})
    else:
        (result,) = graph.apply("conv2d_grad_filter", [x, dy], attributes | {"filter_shape": w.shape})
    return result
