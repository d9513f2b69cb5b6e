"""Tables with sparse gradients: updates of the rows of a batch, beside dense updates and torch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import nn, ops, optim

ROWS, FEATURES = 40, 5
both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def batches(steps: int, dtype: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Indices with many repetitions, some of them padding (3), and factors of the rows they name."""
    rng = np.random.default_rng(0)
    return [
        (rng.integers(0, 12, (6, 4)), rng.standard_normal((6, 4, FEATURES)).astype(dtype))
        for _ in range(steps)
    ]


class Net(nn.Module):
    """A table that is read once or twice, and something dense."""

    def __init__(self, dtype: str = "float32", twice: bool = True, **options: Any) -> None:
        super().__init__()
        rv.seed(1)
        self.twice = twice
        self.table = nn.Embedding(ROWS, FEATURES, padding_idx=3, dtype=dtype, **options)
        self.scale = nn.Parameter(np.ones(FEATURES, dtype))

    def forward(self, i: Any, x: Any) -> Any:
        once = (self.table(i) * x * self.scale).sum()
        return once + (self.table(i[0]) ** 2).sum() if self.twice else once


def new_step(optimizer: optim.Optimizer, dtype: str = "float32", **options: Any) -> rv.TrainStep:
    return rv.TrainStep(lambda net, *batch: net(*batch), Net(dtype, **options), optimizer)


def trained(
    optimizer: optim.Optimizer, dtype: str = "float32", steps: int = 5, **options: Any
) -> dict[str, Any]:
    step = new_step(optimizer, dtype, **options)
    for batch in batches(steps, dtype):
        step(*batch)
    return {**step.model.state_dict(), **step.state_dict()}


EXACT: dict[str, Callable[[], optim.Optimizer]] = {
    "SGD": lambda: optim.SGD(lr=0.1),
    "SGD up": lambda: optim.SGD(lr=lambda t: 0.1 / (t + 1), maximize=True),
    "SGD clipped by value": lambda: optim.SGD(lr=0.1, clip_value=0.5),
    "Adagrad": lambda: optim.Adagrad(lr=0.1, lr_decay=0.1),
    "Adagrad begun": lambda: optim.Adagrad(lr=0.1, initial_accumulator_value=0.25, skip_nonfinite=True),
    "RowWiseAdagrad": lambda: optim.RowWiseAdagrad(lr=0.1, initial_accumulator_value=0.25),
}


@both_dtypes
@pytest.mark.parametrize("name", EXACT)
def test_rules_without_other_memory_give_the_bits_of_dense_updates(name: str, dtype: str) -> None:
    for twice in (False, True):  # of two gradients dense ones are summed apart
        dense, sparse = (trained(EXACT[name](), dtype, twice=twice, sparse=s) for s in (False, True))
        assert dense.keys() == sparse.keys()
        tolerance = np.finfo(dtype).eps * 20 if twice else 0
        for key, value in dense.items():
            np.testing.assert_allclose(sparse[key], value, rtol=tolerance, atol=tolerance, err_msg=key)


@pytest.mark.parametrize("bound", ["clip_norm", "clip_global_norm"])
@pytest.mark.parametrize("behind", [False, True])
def test_norms_are_those_of_summed_rows(bound: str, behind: bool) -> None:
    # Bounds behind other stages are recorded, those in their order are the rule's own.
    def optimizer() -> optim.Optimizer:
        if not behind:
            return optim.SGD(lr=0.1, **{bound: 0.7})
        clip = getattr(optim, bound.replace("clip_", "clip_by_"))
        return optim.chain(clip(0.7), optim.clip_by_value(0.3), optim.SGD(lr=0.1))

    dense, sparse = trained(optimizer()), trained(optimizer(), sparse=True)
    np.testing.assert_allclose(sparse["table.weight"], dense["table.weight"], rtol=2e-6, atol=1e-7)
    assert not np.allclose(sparse["table.weight"], trained(optim.SGD(lr=0.1))["table.weight"])


def by_hand(update: Callable[..., None], steps: int) -> np.ndarray:
    """A table whose rows of each batch `update` changes: (row, state of the row, gradient, step from 1)."""
    table = Net("float64").table.weight.data.copy()
    states: dict[int, dict[str, Any]] = {}
    scale = np.ones(FEATURES)
    for t, (indices, x) in enumerate(batches(steps, "float64"), 1):
        slopes: dict[int, np.ndarray] = {}
        for row, factor in zip(indices.ravel(), x.reshape(-1, FEATURES), strict=True):
            slopes[row] = slopes.get(row, 0) + factor * scale
        for row in indices[0]:
            slopes[row] = slopes[row] + 2 * table[row]
        for row, slope in slopes.items():
            if row != 3:
                update(table[row], states.setdefault(row, {}), slope, t)
    return table


def momentum(w: np.ndarray, state: dict[str, Any], g: np.ndarray, t: int) -> None:
    state["b"] = 0.9 * state.get("b", 0) + g
    w -= 0.1 * (g + 0.9 * state["b"])


def adam(w: np.ndarray, state: dict[str, Any], g: np.ndarray, t: int) -> None:
    state["m"] = 0.9 * state.get("m", 0) + 0.1 * g
    state["v"] = 0.99 * state.get("v", 0) + 0.01 * g * g
    w -= 0.1 * state["m"] / (1 - 0.9**t) / (np.sqrt(state["v"] / (1 - 0.99**t)) + 1e-3)


def rowwise_adagrad(w: np.ndarray, state: dict[str, Any], g: np.ndarray, t: int) -> None:
    state["s"] = state.get("s", 0.5) + (g * g).mean()
    w -= 0.1 / (1 + (t - 1) * 0.5) * g / (np.sqrt(state["s"]) + 1e-10)


@pytest.mark.parametrize(("optimizer", "update"), [
    (lambda **k: optim.SGD(0.1, momentum=0.9, nesterov=True, **k), momentum),
    (lambda **k: optim.Adam(0.1, (0.9, 0.99), 1e-3, **k), adam),
    (lambda **k: optim.RowWiseAdagrad(0.1, 0.5, initial_accumulator_value=0.5, **k), rowwise_adagrad),
])  # fmt: skip
def test_rules_with_memory_leave_other_rows_as_they_are(optimizer: Any, update: Any) -> None:
    fixed = optim.Group("scale", lr=0.0)  # so that the gradients are known
    state = trained(optimizer(groups=[fixed]), "float64", 6, sparse=True)
    np.testing.assert_allclose(state["table.weight"], by_hand(update, 6), rtol=1e-12)
    untouched = [3, *range(12, ROWS)]
    np.testing.assert_array_equal(
        state["table.weight"][untouched], Net("float64").table.weight.data[untouched]
    )


@pytest.mark.parametrize(("name", "numbers"), [
    ("SGD", {"lr": 0.1}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.5, "eps": 1e-3}),
    ("SparseAdam", {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-2}),
])  # fmt: skip
def test_agrees_with_torch(name: str, numbers: dict[str, Any]) -> None:
    """In float64 to rounding; in float32 as near to the float64 run as torch's, which moves away from it."""
    torch = pytest.importorskip("torch")
    torch.sparse.check_sparse_tensor_invariants.enable()  # which torch wants to be asked for, or not
    first = Net("float32").table.weight.data
    given = batches(30, "float32")

    def of_ravine(dtype: str) -> np.ndarray:
        net = Net(dtype, sparse=True)
        net.table.weight.data = first.astype(dtype)
        rate = optim.Group("scale", lr=0.0)
        step = rv.TrainStep(lambda m, *b: m(*b), net, getattr(optim, name)(**numbers, groups=[rate]))
        for indices, x in given:
            step(indices, x.astype(dtype))
        return net.table.weight.data

    def of_torch(dtype: str) -> np.ndarray:
        weight = torch.tensor(first.astype(dtype))
        table = torch.nn.Embedding(ROWS, FEATURES, padding_idx=3, sparse=True, _weight=weight)
        optimizer = getattr(torch.optim, name)(table.parameters(), **numbers)
        for indices, x in given:
            optimizer.zero_grad()
            rows, read_again = table(torch.tensor(indices)), table(torch.tensor(indices[0]))
            ((rows * torch.tensor(x.astype(dtype))).sum() + (read_again**2).sum()).backward()
            optimizer.step()
        return weight.numpy()

    exact = of_torch("float64")
    np.testing.assert_allclose(of_ravine("float64"), exact, rtol=1e-12, atol=1e-12)
    ours, theirs = (np.abs(of(dtype="float32") - exact).max() for of in (of_ravine, of_torch))
    assert ours <= 2 * theirs


def test_a_step_has_no_array_as_large_as_the_table() -> None:
    def arena(rows: int) -> int:
        model = nn.Embedding(rows, 8, sparse=True)
        step = rv.TrainStep(lambda m, i: (m(i) ** 2).sum(), model, optim.Adam())
        step(np.arange(16))
        return step.programs()[0].arena_bytes

    assert arena(100) == arena(20_000) < 8192


def test_resumes_to_the_same_bits_and_eager_steps_agree() -> None:
    whole = new_step(optim.Adam(0.1), sparse=True)
    first = new_step(optim.Adam(0.1), sparse=True)
    eager = new_step(optim.Adam(0.1), sparse=True)
    given = batches(4, "float32")
    for batch in given:
        whole(*batch)
        with rv.eager():
            eager(*batch)
    for batch in given[:2]:
        first(*batch)
    second = new_step(optim.Adam(0.1), sparse=True)
    second.model.load_state_dict(first.model.state_dict())
    second.load_state_dict(first.state_dict())
    for batch in given[2:]:
        second(*batch)
    for key, value in whole.model.state_dict().items():
        np.testing.assert_array_equal(second.model.state_dict()[key], value)
        np.testing.assert_allclose(eager.model.state_dict()[key], value, rtol=1e-6, atol=1e-7)


def test_a_table_that_is_used_otherwise_too_has_a_dense_gradient() -> None:
    def weights(sparse: bool) -> np.ndarray:
        rv.seed(0)
        model = nn.Embedding(6, 3, sparse=sparse)
        step = rv.TrainStep(lambda m, i: (m(i) @ m.weight.T).square().sum(), model, optim.Adam(0.1))
        for _ in range(3):
            step(np.array([1, 2, 1]))
        return model.weight.data

    np.testing.assert_array_equal(weights(True), weights(False))


def test_gradients_outside_of_steps_are_whole() -> None:
    net = Net("float64", sparse=True)
    indices, x = batches(1, "float64")[0]
    slope = rv.value_and_grad(lambda m: m(indices, x), net)()[1]["table.weight"]
    other = rv.value_and_grad(lambda m: m(indices, x), Net("float64"))()[1]["table.weight"]
    np.testing.assert_array_equal(slope, other)


@pytest.mark.parametrize(("optimizer", "message"), [
    (lambda: optim.RMSprop(), "rmsprop: has no update of single rows.* sgd, adam, sparse_adam, adagrad"),
    (lambda: optim.SGD(0.1, weight_decay=0.1), "sgd: weight_decay moves all rows"),
    (lambda: optim.AdamW(), "adam: weight_decay moves all rows"),
    (lambda: optim.Lookahead(optim.SGD(0.1)), "sgd: keeps slow weights, which move in every step"),
    (lambda: optim.SGD(0.1, average=optim.EMA(0.9)), "sgd: keeps average weights"),
    (lambda: optim.SGD(0.1, accumulate=2), "SGD: accumulate changes all rows of a table"),
    (lambda: optim.SGD(0.1, noise=0.1), "SGD: .*noise changes all rows of a table"),
    (lambda: optim.SGD(0.1, clip_adaptive=0.1), "SGD: clip_adaptive changes all rows of a table"),
    (lambda: optim.SAM(optim.SGD(0.1)), "sam changes all rows of a table"),
])  # fmt: skip
def test_what_moves_other_rows_is_refused(optimizer: Callable[[], optim.Optimizer], message: str) -> None:
    step = new_step(optimizer(), sparse=True)
    before = step.model.state_dict()
    with pytest.raises(ValueError, match=message):
        step(*batches(1, "float32")[0])
    for key, value in before.items():
        np.testing.assert_array_equal(step.model.state_dict()[key], value)


def test_a_group_without_decay_lets_the_table_be_sparse() -> None:
    step = new_step(
        optim.SGD(0.1, weight_decay=0.1, groups=[optim.Group("table.weight", weight_decay=0.0)]), sparse=True
    )
    before = step.model.table.weight.data.copy()
    step(*batches(1, "float32")[0])
    changed = np.flatnonzero((step.model.table.weight.data != before).any(1))
    assert set(changed) == set(batches(1, "float32")[0][0].ravel()) - {3}


def test_an_index_out_of_range_changes_nothing() -> None:
    step = new_step(optim.Adagrad(0.1), sparse=True)
    indices, x = batches(1, "float32")[0]
    before = step.model.table.weight.data.copy()
    with pytest.raises(ValueError, match="index 40 is outside"):
        step(np.where(indices == indices[1, 1], 40, indices), x)
    np.testing.assert_array_equal(step.model.table.weight.data, before)


def test_a_layer_says_what_has_no_sparse_gradient() -> None:
    for make in (nn.Embedding, nn.EmbeddingBag):
        with pytest.raises(ValueError, match=f"{make.__name__}: scale_grad_by_freq has no sparse gradient"):
            make(4, 2, scale_grad_by_freq=True, sparse=True)
    with pytest.raises(ValueError, match="embedding: scale_grad_by_freq has no sparse gradient"):
        ops.embedding([1], np.ones((2, 2)), scale_grad_by_freq=True, sparse=True)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bags_have_sparse_gradients(mode: str) -> None:
    def weights(sparse: bool) -> np.ndarray:
        rv.seed(0)
        bag = nn.EmbeddingBag(9, 3, mode=mode, sparse=sparse, padding_idx=2)
        step = rv.TrainStep(lambda m, *x: m(*x).square().sum(), bag, optim.SGD(0.1))
        step(np.array([1, 2, 5, 1, 1, 8]), np.array([0, 3, 3]))
        step(np.array([[1, 2, 5], [1, 1, 8]]))
        return bag.weight.data

    np.testing.assert_array_equal(weights(True), weights(False))
