"""Recurrent layers over whole sequences, and their cells for one step."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from .. import init, ops
from .._numbers import number, whole
from ..record import Operand, Parameter, apply_all, as_tensor, dtype_name
from ._arguments import changed_arguments
from ._linear import check_positive
from ._module import Module

GATES = {"rnn_tanh": 1, "rnn_relu": 1, "gru": 3, "lstm": 4}


def _rnn_operation(module: str, nonlinearity: str) -> str:
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"{module}: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
    return f"rnn_{nonlinearity}"


def _run_direction(
    operation: str,
    x: Any,
    weights: list[Any],
    state: list[Any],
    reverse: bool = False,
    lengths: Any = None,
) -> list[Any]:
    """One direction of one layer: x [T, N, features] to h at every step, the last h and, of an LSTM, c.

    `weights` are weight_ih, weight_hh, bias_ih, bias_hh and weight_hr, None where there is none; `state` is
    empty or the initial h (and c).
    """
    weight_ih, weight_hh, bias_ih, bias_hh, weight_hr = weights
    bias_apart = operation == "gru" and bias_hh is not None  # its n gate scales what the state adds
    bias = bias_ih if bias_ih is None or bias_apart else bias_ih + bias_hh
    inputs = [ops.linear(x, weight_ih, bias), weight_hh]
    inputs += [bias_hh] if bias_apart else []
    inputs += [weight_hr] if weight_hr is not None else []
    inputs += [*state, *([lengths] if lengths is not None else [])]
    outputs = apply_all(
        operation,
        inputs,
        reverse=reverse,
        bias=bias_apart,
        projection=weight_hr is not None,
        initial=bool(state),
        lengths=lengths is not None,
    )
    return outputs[: 3 if operation == "lstm" else 2]


class _Recurrent(Module):
    """What the layers share: parameters, shapes, layers and directions."""

    def __init__(
        self,
        operation: str,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        proj_size: int = 0,
        dtype: Any = "float32",
    ) -> None:
        super().__init__()
        name = type(self).__name__
        check_positive(self, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        dropout = number(name, "dropout", dropout, 0, 1)
        if not whole(name, "proj_size", proj_size, 0) < hidden_size:
            raise ValueError(f"{name}: proj_size must be below hidden_size {hidden_size}, got {proj_size}")
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                f"{name}: dropout acts between layers, so that {dropout} does nothing with num_layers=1",
                stacklevel=3,
            )
        self.operation, self.input_size, self.hidden_size = operation, input_size, hidden_size
        self.num_layers, self.bias, self.batch_first = num_layers, bias, batch_first
        self.dropout, self.bidirectional, self.proj_size = dropout, bidirectional, proj_size
        rows, directions = GATES[operation] * hidden_size, 2 if bidirectional else 1
        for layer in range(num_layers):
            features = input_size if layer == 0 else directions * self._state_size()
            for suffix in self._suffixes(layer):
                shapes = {"weight_ih": (rows, features), "weight_hh": (rows, self._state_size())}
                shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)} if bias else {}
                shapes |= {"weight_hr": (proj_size, hidden_size)} if proj_size else {}
                for kind, shape in shapes.items():
                    zeros = np.zeros(shape, dtype_name(dtype))
                    self.register_parameter(f"{kind}{suffix}", Parameter(zeros))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def flatten_parameters(self) -> None:
        """Does nothing; torch's call for GPUs is taken so that scripts run as they are."""

    def _state_size(self) -> int:
        return self.proj_size or self.hidden_size

    def _suffixes(self, layer: int) -> list[str]:
        return [f"_l{layer}", f"_l{layer}_reverse"][: 2 if self.bidirectional else 1]

    def _weights(self, suffix: str) -> list[Any]:
        kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
        return [self._parameters.get(f"{kind}{suffix}") for kind in kinds]

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each direction of each layer."""
        suffixes = [suffix for layer in range(self.num_layers) for suffix in self._suffixes(layer)]
        return [[w for w in self._weights(suffix) if w is not None] for suffix in suffixes]

    def _run(self, input: Any, states: Any, lengths: Any) -> tuple[Any, list[Any]]:
        """The output and the last states [layers x directions, N, size], h (and c)."""
        name = type(self).__name__
        x = as_tensor(input)
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            batched = "[N, T, {}]" if self.batch_first else "[T, N, {}]"
            layouts = f"{batched} or [T, {{}}]".format(self.input_size, self.input_size)
            raise ValueError(f"{name}: input must have shape {layouts}, got {x.shape}")
        single = x.ndim == 2
        if single:
            x = ops.unsqueeze(x, 1)
        elif self.batch_first:
            x = ops.permute(x, (1, 0, 2))
        batch = x.shape[1]
        if lengths is not None:
            x, lengths = self._cut(x, lengths, single)
        initial = self._initial(states, batch, single)
        lasts: list[list[Any]] = []
        for layer in range(self.num_layers):
            if layer > 0 and self.dropout > 0:
                x = ops.dropout(x, self.dropout, self.training)
            outputs = []
            for reverse, suffix in enumerate(self._suffixes(layer)):
                state = [s[len(lasts)] for s in initial]
                output, *last = _run_direction(
                    self.operation, x, self._weights(suffix), state, bool(reverse), lengths
                )
                outputs.append(output)
                lasts.append(last)
            x = outputs[0] if len(outputs) == 1 else ops.concat(outputs, -1)
        stacked = [ops.stack(list(parts), 0) for parts in zip(*lasts, strict=True)]
        if single:
            return ops.squeeze(x, 1), [ops.squeeze(s, 1) for s in stacked]
        return ops.permute(x, (1, 0, 2)) if self.batch_first else x, stacked

    def _cut(self, x: Operand, lengths: Any, single: bool) -> tuple[Any, Any]:
        """The lengths as the kernels read them, and the input with zeros past them, whatever stood there."""
        name = type(self).__name__
        if single:
            raise ValueError(f"{name}: lengths are those of a batch, got an input of one sequence")
        n = as_tensor(lengths)
        if n.shape != (x.shape[1],):
            raise ValueError(
                f"{name}: lengths must have shape ({x.shape[1]},), a number for each sequence, got {n.shape}"
            )
        if n.dtype not in ("int64", "int32", "uint8"):
            raise TypeError(f"{name}: lengths must be integers, got {n.dtype}")
        n = ops.cast(n, "int64")
        inside = np.arange(x.shape[0]).reshape(-1, 1) < n
        return ops.where(ops.unsqueeze(inside, 2), x, 0.0), n

    def _initial(self, states: Any, batch: int, single: bool) -> list[Operand]:
        """The given states, h (and c), as [layers x directions, N, size]; empty for zeros."""
        if states is None:
            return []
        name = type(self).__name__
        layers = self.num_layers * (2 if self.bidirectional else 1)
        sizes = {"h_0": self._state_size(), "c_0": self.hidden_size}
        taken = []
        for state, (what, size) in zip(states, sizes.items(), strict=False):
            s = as_tensor(state)
            expected = (layers, size) if single else (layers, batch, size)
            if s.shape != expected:
                raise ValueError(f"{name}: {what} must have shape {expected}, got {s.shape}")
            taken.append(ops.unsqueeze(s, 1) if single else s)
        return taken

    def extra_repr(self) -> str:
        return ", ".join([f"{self.input_size}, {self.hidden_size}", *changed_arguments(self)])


class RNN(_Recurrent):
    """Elman's recurrent layer, `h' = f(W_ih x + b_ih + W_hh h + b_hh)` with f tanh or ReLU.

    Shapes: input [T, N, input_size], [N, T, input_size] with `batch_first`, or [T, input_size] for one
    sequence; D is 2 if bidirectional, else 1. Returns the output, [T, N, D · hidden_size] in the input's
    layout, and the last state h_n [D · num_layers, N, hidden_size].

    Args:
        input_size: features of the input.
        hidden_size: features of the state.
        num_layers: layers, each of which reads the output of the one before.
        nonlinearity: "tanh" or "relu".
        bias: whether there are biases.
        batch_first: whether the batch is the first dimension of input and output; states are as ever.
        dropout: probability of dropping the numbers between layers, in training.
        bidirectional: whether each layer also goes backwards; outputs are joined along the features.
        dtype: float32 or float64.

    Called as `rnn(x, h_0, lengths=n)`. The initial state h_0 has the shape of h_n, zeros by default. With
    `lengths` [N] each sequence ends at its own length: the output is 0 from there on, the last state is the
    one at the length, what the input holds past it has no influence, and it costs no recurrent products.

    The sequence's loop is one kernel, so a program is as large, and compiled as quickly, for any length. A
    second derivative (`rv.hvp`) is recorded step by step, so that its program grows with the length.

    Parameters are initialised uniformly in ±1/√hidden_size. Raises ValueError naming the shapes for others,
    and for lengths outside of [0, T].

    Source: Elman 1990, https://doi.org/10.1207/s15516709cog1402_1.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> output, h_n = nn.RNN(3, 5)(np.zeros((7, 2, 3)))
        >>> output.shape, h_n.shape
        ((7, 2, 5), (1, 2, 5))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: Any = "float32",
    ) -> None:
        operation = _rnn_operation("RNN", nonlinearity)
        sizes = (input_size, hidden_size, num_layers)
        super().__init__(operation, *sizes, bias, batch_first, dropout, bidirectional, dtype=dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Any, hx: Any = None, *, lengths: Any = None) -> Any:
        output, (last,) = self._run(input, None if hx is None else (hx,), lengths)
        return output, last


class GRU(_Recurrent):
    """Gated recurrent units.

        r = σ(W_ir x + b_ir + W_hr h + b_hr)
        z = σ(W_iz x + b_iz + W_hz h + b_hz)
        n = tanh(W_in x + b_in + r · (W_hn h + b_hn))
        h' = (1 - z) · n + z · h

    The weights hold the rows of r, z and n in this order. Shapes, arguments, `lengths` and errors are those
    of `RNN`, without `nonlinearity`.

    Source: Cho et al. 2014, https://arxiv.org/abs/1406.1078.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> gru = nn.GRU(3, 5, num_layers=2, batch_first=True, bidirectional=True)
        >>> output, h_n = gru(np.zeros((2, 7, 3)), lengths=[7, 4])
        >>> output.shape, h_n.shape, float(abs(output[1, 4:]).max())
        ((2, 7, 10), (4, 2, 5), 0.0)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: Any = "float32",
    ) -> None:
        sizes = (input_size, hidden_size, num_layers)
        super().__init__("gru", *sizes, bias, batch_first, dropout, bidirectional, dtype=dtype)

    def forward(self, input: Any, hx: Any = None, *, lengths: Any = None) -> Any:
        output, (last,) = self._run(input, None if hx is None else (hx,), lengths)
        return output, last


class LSTM(_Recurrent):
    """Long short-term memory.

        i, f, o = σ(W_i x + b_i + W_h h + b_h), each with weights of its own
        g = tanh(W_ig x + b_ig + W_hg h + b_hg)
        c' = f · c + i · g
        h' = o · tanh(c')

    The weights hold the rows of i, f, g and o in this order. With `proj_size` the state is smaller than the
    memory: `h' = W_hr (o · tanh(c'))`. Shapes, arguments, `lengths` and errors are those of `RNN`, without
    `nonlinearity`. Initial and last states are pairs (h, c); called as `lstm(x, (h_0, c_0), lengths=n)`,
    returns the output and (h_n, c_n).

    Args:
        proj_size: the size that h is projected to; 0: it is not.

    Source: Hochreiter and Schmidhuber 1997, https://doi.org/10.1162/neco.1997.9.8.1735; the projection: Sak
    et al. 2014, https://arxiv.org/abs/1402.1128.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> output, (h_n, c_n) = nn.LSTM(3, 5, proj_size=2)(np.zeros((7, 2, 3)))
        >>> output.shape, h_n.shape, c_n.shape
        ((7, 2, 2), (1, 2, 2), (1, 2, 5))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        *,
        dtype: Any = "float32",
    ) -> None:
        sizes = (input_size, hidden_size, num_layers)
        super().__init__("lstm", *sizes, bias, batch_first, dropout, bidirectional, proj_size, dtype)

    def forward(self, input: Any, hx: Any = None, *, lengths: Any = None) -> Any:
        output, last = self._run(input, _pair("LSTM", hx), lengths)
        return output, tuple(last)


def _pair(module: str, hx: Any) -> Any:
    if hx is not None and not (isinstance(hx, tuple | list) and len(hx) == 2):
        raise TypeError(f"{module}: the state is a pair (h, c), got {type(hx).__name__}")
    return hx


class _Cell(Module):
    """What the cells share: one step of a layer with parameters of its own."""

    def __init__(self, operation: str, input_size: int, hidden_size: int, bias: bool, dtype: Any) -> None:
        super().__init__()
        check_positive(self, input_size=input_size, hidden_size=hidden_size)
        self.operation, self.bias = operation, bias
        self.input_size, self.hidden_size = input_size, hidden_size
        rows, name = GATES[operation] * hidden_size, dtype_name(dtype)
        self.weight_ih = Parameter(np.zeros((rows, input_size), name))
        self.weight_hh = Parameter(np.zeros((rows, hidden_size), name))
        for kind in ("bias_ih", "bias_hh"):
            self.register_parameter(kind, Parameter(np.zeros(rows, name)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def _step(self, input: Any, states: Any) -> list[Any]:
        """The next h (and c)."""
        name = type(self).__name__
        x = as_tensor(input)
        if x.ndim not in (1, 2) or x.shape[-1] != self.input_size:
            n = self.input_size
            raise ValueError(f"{name}: input must have shape [N, {n}] or [{n}], got {x.shape}")
        expected = (*x.shape[:-1], self.hidden_size)
        taken = []
        for state in states or ():
            s = as_tensor(state)
            if s.shape != expected:
                raise ValueError(f"{name}: the state must have shape {expected}, got {s.shape}")
            taken.append(s if x.ndim == 2 else ops.unsqueeze(s, 0))
        weights = [self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh, None]
        rows = x if x.ndim == 2 else ops.unsqueeze(x, 0)
        _, *last = _run_direction(self.operation, ops.unsqueeze(rows, 0), weights, taken)
        return last if x.ndim == 2 else [ops.squeeze(s, 0) for s in last]

    def extra_repr(self) -> str:
        return ", ".join([f"{self.input_size}, {self.hidden_size}", *changed_arguments(self)])


class RNNCell(_Cell):
    """One step of `RNN`: input [N, input_size] and h [N, hidden_size], zeros by default, to the next h.

    Both may lack the batch. Raises ValueError naming the shapes for others.

    Args:
        input_size: features of the input.
        hidden_size: features of the state.
        bias: whether there are biases.
        nonlinearity: "tanh" or "relu".
        dtype: float32 or float64.

    A loop over a cell in `forward` is recorded step by step; `RNN` runs a whole sequence in one kernel.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.RNNCell(3, 5)(np.zeros((2, 3))).shape
        (2, 5)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        *,
        dtype: Any = "float32",
    ) -> None:
        super().__init__(_rnn_operation("RNNCell", nonlinearity), input_size, hidden_size, bias, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Any, hx: Any = None) -> Any:
        return self._step(input, None if hx is None else (hx,))[0]


class GRUCell(_Cell):
    """One step of `GRU`; shapes, arguments and errors are those of `RNNCell`, without `nonlinearity`.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.GRUCell(3, 5)(np.zeros((2, 3)), np.zeros((2, 5))).shape
        (2, 5)
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, *, dtype: Any = "float32"
    ) -> None:
        super().__init__("gru", input_size, hidden_size, bias, dtype)

    def forward(self, input: Any, hx: Any = None) -> Any:
        return self._step(input, None if hx is None else (hx,))[0]


class LSTMCell(_Cell):
    """One step of `LSTM`: input and (h, c), zeros by default, to the next (h, c).

    Shapes, arguments and errors are those of `RNNCell`, without `nonlinearity`.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> h, c = nn.LSTMCell(3, 5)(np.zeros((2, 3)))
        >>> h.shape, c.shape
        ((2, 5), (2, 5))
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, *, dtype: Any = "float32"
    ) -> None:
        super().__init__("lstm", input_size, hidden_size, bias, dtype)

    def forward(self, input: Any, hx: Any = None) -> Any:
        return tuple(self._step(input, _pair("LSTMCell", hx)))
