"""Single operations on sequences in Ravine."""

from __future__ import annotations

from collections.abc import Callable

import ravine as rv
from ravine import _core, nn
from ravine.record import Tensor, Trace, recording_into

from ..sequences import Attention, SequenceOperation


def prepare(operation: SequenceOperation) -> Callable[[], float]:
    """A program on arrays that stay where they are; of its results one number each comes out."""
    trace = Trace()
    inputs = [trace.graph.state(nn.Parameter(array).array) for array in operation.arrays()]
    with recording_into(trace):
        tensors = [Tensor(value, trace) for value in inputs]
        if isinstance(operation, Attention):
            y = rv.ops.scaled_dot_product_attention(*tensors, is_causal=operation.causal)
        else:
            x = rv.ops.pad(tensors[0], (operation.padding, 0))
            y = rv.ops.conv1d(x, tensors[1], None, 1, 0, operation.dilation, operation.groups)
        results = [y._as_value(trace)]
        if operation.direction == "both":
            weighted = (y * y.detach()).sum()._as_value(trace)
            results += trace.graph.gradients(weighted, inputs)
        firsts = [Tensor(value, trace).reshape((-1,))[:1]._as_value(trace) for value in results]
    program = _core.Program(trace.graph, firsts)
    return lambda: float(program.run([])[0][0])
