"""Recurrent layers and cells agree with torch from the same weights: results, states and every gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ravine as rv

torch = pytest.importorskip("torch")

KINDS = ("RNN", "GRU", "LSTM")
# Arguments, whether there is an initial state, lengths.
CONFIGURATIONS: dict[str, tuple[dict[str, Any], bool, list[int] | None]] = {
    "plain": ({}, False, None),
    "state, no bias": ({"bias": False}, True, None),
    "batch first, two layers": ({"batch_first": True, "num_layers": 2}, True, None),
    "bidirectional": ({"bidirectional": True, "num_layers": 2}, True, None),
    "lengths": ({"batch_first": True}, False, [7, 2, 5, 1]),
    "all at once": ({"bidirectional": True, "num_layers": 2, "batch_first": True}, True, [3, 7, 1, 6]),
    "relu": ({"nonlinearity": "relu", "num_layers": 2}, True, None),
    "projected": ({"proj_size": 3, "bidirectional": True, "num_layers": 2}, True, [3, 7, 7, 1]),
}
ONLY = {"relu": "RNN", "projected": "LSTM"}
CASES = [(kind, name) for name in CONFIGURATIONS for kind in KINDS if ONLY.get(name, kind) == kind]
STEPS, BATCH, FEATURES, HIDDEN = 7, 4, 5, 9


def numbers(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """That float32 holds exactly."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype("float32").astype("float64")


def pack(x: Any, lengths: list[int] | None, batch_first: bool) -> Any:
    if lengths is None:
        return x
    return torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first, enforce_sorted=False)


def unpack(y: Any, lengths: list[int] | None, batch_first: bool) -> Any:
    if lengths is None:
        return y
    return torch.nn.utils.rnn.pad_packed_sequence(y, batch_first, total_length=STEPS)[0]


def flat(results: Any) -> list[Any]:
    return [part for r in results for part in (r if isinstance(r, tuple | list) else [r])]


class Comparison:
    """One configuration in both engines, with torch's weights."""

    def __init__(self, kind: str, name: str) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(0)
        self.arguments, with_state, self.lengths = CONFIGURATIONS[name]
        self.theirs = getattr(torch.nn, kind)(FEATURES, HIDDEN, **self.arguments)
        self.kind, self.batch_first = kind, self.arguments.get("batch_first", False)
        shape = (BATCH, STEPS) if self.batch_first else (STEPS, BATCH)
        self.x = numbers((*shape, FEATURES), 1)
        rows = self.arguments.get("num_layers", 1) * (2 if self.arguments.get("bidirectional") else 1)
        sizes = [self.arguments.get("proj_size", 0) or HIDDEN, HIDDEN][: 2 if kind == "LSTM" else 1]
        self.states = [numbers((rows, BATCH, n), 2 + i) for i, n in enumerate(sizes)] if with_state else []

    def packed_states(self, states: list[Any]) -> Any:
        if not states:
            return None
        return tuple(states) if self.kind == "LSTM" else states[0]

    def torch_results(self, dtype: str) -> dict[str, np.ndarray]:
        kind = getattr(torch, dtype)
        model = self.theirs.to(kind)
        model.zero_grad()
        x, *states = (torch.tensor(a, dtype=kind, requires_grad=True) for a in (self.x, *self.states))
        result, last = model(pack(x, self.lengths, self.batch_first), self.packed_states(states))
        outputs = [unpack(result, self.lengths, self.batch_first), *flat([last])]
        loss = sum((y * torch.tensor(numbers(tuple(y.shape), 9), dtype=kind)).sum() for y in outputs)
        loss.backward()
        found = {f"output {i}": y for i, y in enumerate(outputs)} | {"input's gradient": x.grad}
        found |= {f"state {i}'s gradient": s.grad for i, s in enumerate(states)}
        found |= {f"gradient of {n}": p.grad for n, p in model.named_parameters()}
        return {what: value.detach().double().numpy() for what, value in found.items()}

    def ravine_results(self, dtype: str) -> dict[str, np.ndarray]:
        model = getattr(rv.nn, self.kind)(FEATURES, HIDDEN, **self.arguments, dtype=dtype)
        model.load_state_dict(
            {n: w.detach().numpy().astype(dtype) for n, w in self.theirs.state_dict().items()}
        )
        assert list(model.state_dict()) == list(self.theirs.state_dict())
        x, *states = (a.astype(dtype) for a in (self.x, *self.states))

        def outputs_of(m: Any, x: Any, *states: Any) -> list[Any]:
            return flat(m(x, self.packed_states(list(states)), lengths=self.lengths))

        def loss(outputs: list[Any]) -> Any:
            return sum((y * numbers(tuple(y.shape), 9).astype(dtype)).sum() for y in outputs)

        found: dict[str, Any] = {f"output {i}": y for i, y in enumerate(outputs_of(model, x, *states))}
        _, gradients = rv.value_and_grad(lambda *a: loss(outputs_of(*a)), model)(x, *states)
        found |= {f"gradient of {n}": g for n, g in gradients.items()}
        of_arrays = {"x": x} | {f"s{i}": s for i, s in enumerate(states)}
        _, by_arrays = rv.value_and_grad(lambda a: loss(outputs_of(model, *a.values())))(of_arrays)
        found |= {"input's gradient": by_arrays["x"]}
        found |= {f"state {i}'s gradient": by_arrays[f"s{i}"] for i in range(len(states))}
        assert all(np.asarray(value).dtype == dtype for value in found.values())
        return {what: np.asarray(value, "float64") for what, value in found.items()}


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_layer(kind: str, name: str) -> None:
    """float64 to rounding; float32 as near to float64 as torch's, within a factor of two."""
    comparison = Comparison(kind, name)
    exact = comparison.torch_results("float64")
    ours = comparison.ravine_results("float64")
    assert ours.keys() == exact.keys()
    for what, expected in exact.items():
        scale = max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(ours[what], expected, rtol=0, atol=1e-13 * scale, err_msg=what)
    theirs32, ours32 = comparison.torch_results("float32"), comparison.ravine_results("float32")
    for what, expected in exact.items():
        scale = max(1.0, float(np.abs(expected).max()))
        errors = [float(np.abs(results[what] - expected).max()) for results in (ours32, theirs32)]
        assert errors[0] <= 2 * errors[1] + 2.4e-7 * scale, f"{what}: {errors}"


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_cell(kind: str, bias: bool) -> None:
    theirs = getattr(torch.nn, f"{kind}Cell")(FEATURES, HIDDEN, bias).double()
    ours = getattr(rv.nn, f"{kind}Cell")(FEATURES, HIDDEN, bias, dtype="float64")
    ours.load_state_dict({n: w.numpy() for n, w in theirs.state_dict().items()})
    x, h, c = numbers((BATCH, FEATURES), 1), numbers((BATCH, HIDDEN), 2), numbers((BATCH, HIDDEN), 3)
    state = (h, c) if kind == "LSTM" else h
    their_state = tuple(map(torch.tensor, state)) if kind == "LSTM" else torch.tensor(h)
    for got, expected in (
        (ours(x, state), theirs(torch.tensor(x), their_state)),
        (ours(x), theirs(torch.tensor(x))),
    ):
        for one, other in zip(flat([got]), flat([expected]), strict=True):
            np.testing.assert_allclose(one, other.detach().numpy(), rtol=0, atol=1e-14)
    theirs(torch.tensor(x), their_state)[0].sum().backward()
    _, gradients = rv.value_and_grad(lambda m: m(x, state)[0].sum(), ours)()
    for name, parameter in theirs.named_parameters():
        np.testing.assert_allclose(gradients[name], parameter.grad.numpy(), rtol=0, atol=1e-13, err_msg=name)


def test_signatures_and_representations() -> None:
    import inspect

    for kind in KINDS:
        for name in (kind, f"{kind}Cell"):
            ours = dict(inspect.signature(getattr(rv.nn, name).__init__).parameters)
            for what, default in {"bias": True, "dropout": 0.0, "num_layers": 1, "proj_size": 0}.items():
                if what in ours:
                    assert ours[what].default == default
        theirs = getattr(torch.nn, kind)(3, 4, num_layers=2, batch_first=True)
        assert repr(getattr(rv.nn, kind)(3, 4, num_layers=2, batch_first=True)) == repr(theirs)
