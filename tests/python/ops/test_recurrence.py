"""Recurrent layers: every cell in both directions, with and without each of its optional inputs."""

from __future__ import annotations

import numpy as np
import pytest
from helper import Case, case, check, normal, record, run

from ravine import _core
from ravine.record import apply_all

GATES = {"rnn_tanh": 1, "rnn_relu": 1, "gru": 3, "lstm": 4}
OPTIONS = ("bias", "projection", "initial", "lengths")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def inputs_by_name(cell, names, arrays):
    order = ["gates", "weight", "bias", "projection", "initial", "initial_cell", "lengths"]
    present = [
        n for n in order if n in ("gates", "weight", *names) or (n == "initial_cell" and cell == "lstm")
    ]
    present = [n for n in present if n != "initial_cell" or "initial" in names]
    return dict(zip(present, arrays, strict=True))


def reference(cell, names, reverse, *arrays):
    """Results and history, step by step."""
    given = inputs_by_name(cell, names, arrays)
    gates, weight = given["gates"], given["weight"]
    steps, batch, columns = gates.shape
    hidden = columns // GATES[cell]
    h = given.get("initial", np.zeros((batch, weight.shape[1])))
    c = given.get("initial_cell", np.zeros((batch, hidden)))
    lengths = given.get("lengths", np.full(batch, steps))
    outputs, kept, cells, unprojected = (
        np.zeros((steps, batch, n)) for n in (h.shape[1], 4 * hidden, hidden, hidden)
    )
    for t in reversed(range(steps)) if reverse else range(steps):
        active = (t < lengths)[:, None]
        x = np.split(gates[t], GATES[cell], 1)
        state = np.split(h @ weight.T + given.get("bias", 0.0), GATES[cell], 1)
        if cell == "lstm":
            i, f, o = (sigmoid(x[k] + state[k]) for k in (0, 1, 3))
            g = np.tanh(x[2] + state[2])
            new_c = f * c + i * g
            new = o * np.tanh(new_c)
            kept[t], cells[t], unprojected[t] = (
                np.where(active, a, 0) for a in (np.concatenate([i, f, g, o], 1), new_c, new)
            )
            c = np.where(active, new_c, c)
            new = new @ given["projection"].T if "projection" in given else new
        elif cell == "gru":
            r, z = (sigmoid(x[k] + state[k]) for k in (0, 1))
            n = np.tanh(x[2] + r * state[2])
            new = (1 - z) * n + z * h
            kept[t] = np.where(active, np.concatenate([r, z, n, state[2]], 1), 0)
        else:
            new = np.tanh(x[0] + state[0]) if cell == "rnn_tanh" else np.maximum(x[0] + state[0], 0)
        outputs[t] = np.where(active, new, 0)
        h = np.where(active, new, h)
    if cell == "lstm":
        return [outputs, h, c, kept, cells, *([unprojected] if "projection" in given else [])]
    return [outputs, h, *([kept] if cell == "gru" else [])]


def layer(cell, names=(), reverse=False, shape=(4, 3, 5), projected=2, history=False, **how):
    steps, batch, hidden = shape
    size = projected if "projection" in names else hidden
    columns = GATES[cell] * hidden
    arrays = {
        "gates": normal(steps, batch, columns),
        "weight": normal(columns, size, scale=0.5),
        "bias": normal(columns),
        "projection": normal(size, hidden),
        "initial": normal(batch, size),
        "initial_cell": normal(batch, hidden),
        "lengths": (np.arange(batch) * 7 + 2) % (steps + 1),
    }
    wanted = ["gates", "weight", *(n for n in OPTIONS if n in names)]
    if cell == "lstm" and "initial" in names:
        wanted.insert(wanted.index("initial") + 1, "initial_cell")
    results = None if history else 3 if cell == "lstm" else 2
    flags = dict.fromkeys(names, True)
    return case(
        f"{cell}-{'-'.join(names)}{'-reverse' if reverse else ''}{'-history' if history else ''}",
        lambda *x: apply_all(cell, list(x), reverse=reverse, **flags)[:results],
        lambda *x: reference(cell, names, reverse, *x)[:results],
        *(arrays[name] for name in wanted),
        **how,
    )


CASES = [
    *(layer(cell) for cell in GATES),
    *(layer(cell, ("initial", "lengths"), reverse) for cell in GATES for reverse in (False, True)),
    layer("gru", ("bias",), shape=(3, 2, 9)),
    layer("gru", ("bias", "initial", "lengths"), True),
    layer("lstm", ("initial",), True, shape=(2, 7, 3)),
    layer("lstm", ("projection",)),
    layer("lstm", ("projection", "initial", "lengths"), True),
    layer("lstm", ("projection", "initial"), history=True, shape=(2, 2, 3)),
    layer("gru", ("lengths",), history=True, shape=(2, 2, 3)),
    layer("lstm", ("initial",), shape=(1, 2, 3)),  # a step, as cells take it
    layer("gru", shape=(1, 2, 3)),
    layer("lstm", ("initial",), shape=(0, 2, 3), second=False),
    layer("gru", ("lengths",), shape=(3, 0, 3), second=False),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_layer(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("cell", GATES)
def test_a_derivative_by_the_last_state_alone(cell: str) -> None:
    """The output's gradient is then no tensor of zeros, but none."""
    one = layer(cell, ("initial",))
    check(case(f"{cell}-last", lambda *x: one.function(*x)[1:], lambda *x: one.want(*x)[1:], *one.arrays))
    check(case(f"{cell}-output", lambda *x: one.function(*x)[0], lambda *x: one.want(*x)[0], *one.arrays))


def calls(steps: int, gradient: bool = False) -> list[str]:
    graph, inputs, outputs = record(
        lambda *x: apply_all("gru", list(x), bias=True)[0], [normal(steps, 2, 9), normal(9, 3), normal(9)]
    )
    wanted = outputs
    if gradient:
        wanted = graph.gradients(graph.apply("sum", [outputs[0]], {})[0], inputs)
    return [line.split()[1] for line in _core.Program(graph, wanted).describe().splitlines() if line.strip()]


def test_a_program_is_as_long_for_any_length() -> None:
    assert len(calls(3, gradient=True)) == len(calls(300, gradient=True))


def test_a_history_is_kept_for_gradients_alone() -> None:
    cell = layer("lstm", shape=(50, 20, 30))
    graph, inputs, outputs = record(lambda *x: cell.function(*x)[0], cell.arrays)
    forward = _core.Program(graph, outputs)
    total = graph.apply("sum", [outputs[0]], {})[0]
    both = _core.Program(graph, graph.gradients(total, inputs))
    activations = 50 * 20 * 4 * 30 * 8
    assert forward.arena_bytes < activations < both.arena_bytes


@pytest.mark.parametrize(
    ("cell", "flags", "shapes", "message"),
    [
        ("gru", {}, [(3, 2, 9)], "gru: a tensor is missing"),
        ("gru", {}, [(3, 9), (9, 3)], r"gates must be \[steps, batch, gates\], got shape \(3, 9\)"),
        ("gru", {}, [(3, 2, 8), (8, 3)], r"8 columns of gates .* are not 3 equal parts"),
        ("lstm", {}, [(3, 2, 8), (8, 3)], r"the weight has shape \(8, 3\), expected \(8, 2\)"),
        ("lstm", {"bias": True}, [(3, 2, 8), (8, 2), (8,)], "takes no bias"),
        ("gru", {"projection": True}, [(3, 2, 9), (9, 3), (2, 3)], "takes no projection"),
        ("gru", {"initial": True}, [(3, 2, 9), (9, 3), (3, 3)], r"initial state has shape \(3, 3\)"),
        ("rnn_tanh", {}, [(3, 2, 9), (9, 9), (9,)], "takes 2 tensors, got 3"),
        ("rnn_tanh", {"lengths": True}, [(3, 2, 9), (9, 9), (2,)], "the lengths must be int64"),
    ],
)
def test_wrong_operands_are_named(cell, flags, shapes, message) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        run(lambda *x: apply_all(cell, list(x), **flags), *(np.zeros(shape) for shape in shapes))
