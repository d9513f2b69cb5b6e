"""Random operations: their numbers depend on the seed, the run and the operation, on nothing else."""

from __future__ import annotations

import numpy as np
import pytest

import ravine as rv
from ravine import _core, ops


def uniform_program(*shapes: tuple[int, ...], dtype: str = "float32", seed: int = 3):
    graph = _core.Graph()
    state = _core.RandomState(seed)
    values = [graph.apply("uniform", [], {"shape": s, "dtype": dtype})[0] for s in shapes]
    return _core.Program(graph, values, state), state


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniform(dtype: str) -> None:
    program, _ = uniform_program((1000, 101), dtype=dtype)
    (u,) = program.run([])
    assert u.dtype == dtype
    assert u.min() >= 0
    assert u.max() < 1
    assert u.mean() == pytest.approx(0.5, abs=0.004)
    assert u.var() == pytest.approx(1 / 12, abs=0.002)
    counts = np.histogram(u, bins=64, range=(0, 1))[0]
    assert (
        np.sum((counts - u.size / 64) ** 2 / (u.size / 64)) < 120
    )  # chi-square of 63 degrees: 1e-5 beyond 120
    assert abs(np.corrcoef(u.ravel()[:-1], u.ravel()[1:])[0, 1]) < 0.015


def test_every_run_and_every_operation_draws_other_numbers() -> None:
    program, state = uniform_program((50,), (50,))
    a, b = program.run([])
    c, d = program.run([])
    assert state.step == 2
    drawn = np.concatenate([a, b, c, d])
    assert len(np.unique(drawn)) > 195
    state.step = 0
    np.testing.assert_array_equal(program.run([])[0], a)


def test_the_seed_decides() -> None:
    one, same, other = (uniform_program((50,), seed=s)[0].run([])[0] for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_all_instruction_sets_and_thread_counts_draw_the_same() -> None:
    before = rv.cpu_info()["isa"]
    drawn = []
    try:
        for isa in rv.cpu_info()["isas"]:
            _core.set_isa(isa)
            for threads in (1, 3):
                with rv.threads(threads):
                    drawn.append(uniform_program((37, 1013))[0].run([])[0])
    finally:
        _core.set_isa(before)
    for u in drawn[1:]:
        np.testing.assert_array_equal(u, drawn[0])


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_drops_and_scales(p: float) -> None:
    x = np.ones((200, 300), "float32")
    y = ops.dropout(x, p).numpy()
    kept = y != 0
    assert kept.mean() == pytest.approx(1 - p, abs=0.01)
    np.testing.assert_allclose(y[kept], 1 / (1 - p), rtol=1e-6)


def test_dropout_gradient_uses_the_same_mask() -> None:
    x = np.full((40, 50), 2.0, "float32")
    value, gradient = rv.value_and_grad(lambda x: ops.sum(ops.dropout(x, 0.3)))(x)
    assert value == pytest.approx(float((gradient * x).sum()), rel=1e-5)
    assert set(np.unique(gradient).round(5)) == {np.float32(0), np.float32(1 / 0.7).round(5)}


def test_dropout2d_drops_whole_channels() -> None:
    y = ops.dropout2d(np.ones((8, 16, 3, 5), "float32"), 0.5).numpy().reshape(128, 15)
    assert np.all(y == y[:, :1])
    assert 0.2 < (y[:, 0] == 0).mean() < 0.8


def test_dropout_of_nothing_all_and_in_evaluation() -> None:
    x = np.arange(6, dtype="float32")
    np.testing.assert_array_equal(ops.dropout(x, 0.0).numpy(), x)
    np.testing.assert_array_equal(ops.dropout(x, 1.0).numpy(), np.zeros(6))
    np.testing.assert_array_equal(ops.dropout(x, 0.5, training=False).numpy(), x)
    assert ops.dropout(np.ones((0, 3)), 0.5).shape == (0, 3)


def test_randn_is_normal() -> None:
    z = ops.randn(500, 400).numpy()
    assert np.isfinite(z).all()
    assert z.mean() == pytest.approx(0, abs=0.01)
    assert z.std() == pytest.approx(1, abs=0.01)
    assert (np.abs(z) < 1.959964).mean() == pytest.approx(0.95, abs=0.004)


BAD = [
    (lambda: ops.dropout(np.ones(3), 1.5), ValueError, "dropout: p must be a probability in .0, 1., got 1.5"),
    (lambda: ops.dropout(np.ones(3), float("nan")), ValueError, "dropout: p must be a probability"),
    (
        lambda: ops.dropout2d(np.ones(3)),
        ValueError,
        r"dropout2d: input must have shape \[N, C, ...\], got \(3,\)",
    ),
    (lambda: ops.rand(2, -1), ValueError, r"rand: sizes must not be negative, got \(2, -1\)"),
    (lambda: ops.rand(2, dtype="int32"), TypeError, "uniform: expected float32 or float64, got int32"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


# Which part of [6, 7, 3] has one fate.
TOGETHER = {
    ops.dropout1d: (6, 7, 1),
    ops.drop_path: (6, 1, 1),
}


@pytest.mark.parametrize("function", TOGETHER, ids=lambda function: function.__name__)
def test_what_is_dropped_together(function) -> None:
    x = np.ones((6, 7, 3))
    seen = set()
    for _ in range(20):
        y = function(x, 0.5, True).numpy()
        parts = np.broadcast_to(y[tuple(slice(n) for n in TOGETHER[function])], x.shape)
        np.testing.assert_array_equal(y, parts)
        seen |= {float(v) for v in np.unique(y)}
    assert len(seen) == 2
    np.testing.assert_array_equal(function(x, 0.5, False).numpy(), x)


def test_volumes_lose_whole_channels() -> None:
    y = ops.dropout3d(np.ones((8, 16, 2, 3, 5), "float32"), 0.5).numpy().reshape(128, 30)
    assert set(np.unique(y)) == {0.0, 2.0}
    assert (y == y[:, :1]).all()


@pytest.mark.parametrize("function", [ops.dropout1d, ops.dropout3d])
def test_channels_of_one_example(function) -> None:
    extents = (3,) if function is ops.dropout1d else (2, 3, 5)
    y = function(np.ones((64, *extents), "float32"), 0.5).numpy().reshape(64, -1)
    assert set(np.unique(y)) == {0.0, 2.0}
    assert (y == y[:, :1]).all()
