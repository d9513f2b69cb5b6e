"""Bad input: a clear error of a standard kind that names the shapes, and nothing changed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import nn, ops, optim

IMAGES = np.zeros((2, 3, 8, 8), "float32")
ROWS = np.zeros((4, 5), "float32")
LABELS = np.array([0, 1, 2, 0])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.Linear(5, 2)(np.zeros((4, 6))), ValueError, r"\(4, 6\) must end in 5 features"),
        (lambda: nn.Linear(5, 2)(np.float32(1.0)), ValueError, "must end in 5 features"),
        (lambda: nn.Conv2d(3, 4, 3)(np.zeros((8, 8))), ValueError, r"image \[C, H, W\], got shape \(8, 8"),
        (lambda: nn.Conv2d(4, 4, 3)(IMAGES), ValueError, r"\(2, 3, 8, 8\) has 3 channels.*expects 4"),
        (lambda: nn.Conv2d(3, 4, 9)(IMAGES), ValueError, "conv2d"),
        (lambda: nn.Conv2d(3, 4, 3, padding=-1), ValueError, "padding must be at least 0, got -1"),
        (lambda: nn.Conv2d(3, 4, 3, padding="full"), ValueError, "'same' or 'valid', got 'full'"),
        (lambda: nn.Conv2d(3, 4, 3, stride=0), ValueError, "stride must be at least 1"),
        (lambda: nn.Conv2d(3, 4, (3, 3, 3)), TypeError, "kernel_size must be an integer or a pair"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, "multiples of groups"),
        (lambda: nn.Conv2d(0, 4, 3), ValueError, "in_channels must be at least 1, got 0"),
        (lambda: nn.Linear(3, 0), ValueError, "out_features must be at least 1, got 0"),
        (lambda: nn.Linear(-3, 1), ValueError, "in_features must be at least 1, got -3"),
        (lambda: nn.Linear(3.5, 1), TypeError, "in_features must be an integer"),  # type: ignore[arg-type]
        (lambda: nn.BatchNorm2d(0), ValueError, "num_features must be at least 1"),
        (lambda: nn.Embedding(0, 4), ValueError, "num_embeddings must be at least 1"),
        (lambda: nn.MaxPool2d(9)(IMAGES), ValueError, "max_pool2d"),
        (lambda: nn.MaxPool2d(2, padding=2)(IMAGES), ValueError, "at most half of kernel_size"),
        (lambda: nn.AvgPool2d(2, padding=-1), ValueError, "padding must be at least 0"),
        (lambda: nn.BatchNorm2d(4)(IMAGES), ValueError, r"\[N, 4, H, W\], got \(2, 3, 8, 8\)"),
        (lambda: nn.BatchNorm1d(5)(ROWS[:1]), ValueError, "more than one value per channel"),
        (lambda: nn.LayerNorm(4)(ROWS), ValueError, r"\(4, 5\) must end in normalized_shape \(4,\)"),
        (lambda: nn.GroupNorm(3, 4), ValueError, "4 channels cannot be split into 3 groups"),
        (lambda: nn.Dropout(1.5), ValueError, r"probability in \[0, 1\], got 1.5"),
        (lambda: nn.Embedding(3, 2)(np.zeros(2)), TypeError, "indices must be integers"),
        (lambda: nn.Embedding(3, 2)(np.array([0, 3])), ValueError, "3"),
        (lambda: nn.Embedding(3, 2)(np.array([0, -1])), ValueError, "-1"),
        (lambda: nn.CrossEntropyLoss()(ROWS, LABELS[:3]), ValueError, r"class indices of shape \(4,\)"),
        (lambda: nn.CrossEntropyLoss()(ROWS, LABELS.astype("float32")), TypeError, "int64, got float32"),
        (lambda: nn.CrossEntropyLoss()(ROWS, LABELS + 3), ValueError, "5"),
        (lambda: nn.CrossEntropyLoss()(ROWS, LABELS - 1), ValueError, "-1"),
        (lambda: nn.CrossEntropyLoss(reduction="average"), ValueError, "mean, sum, none, got 'average'"),
        (lambda: nn.CrossEntropyLoss(weight=np.ones(3))(ROWS, LABELS), ValueError, r"must have shape \(5,\)"),
        (lambda: nn.MSELoss()(np.zeros((4, 1)), np.zeros(4)), ValueError, r"got \(4, 1\) and \(4,\)"),
        (lambda: ops.add(np.zeros((2, 3)), np.zeros((2, 4))), ValueError, r"2, 3.*2, 4"),
        (lambda: ops.matmul(np.zeros((2, 3)), np.zeros((2, 3))), ValueError, r"2, 3.*2, 3"),
        (lambda: ops.reshape(ROWS, (3, 7)), ValueError, r"4, 5"),
        (lambda: ops.concat([np.zeros((2, 3)), np.zeros((3, 4))]), ValueError, r"2, 3.*3, 4"),
        (lambda: ops.concat([]), ValueError, "at least one tensor"),
        (lambda: ops.sum(ROWS, dim=2), IndexError, "dim 2 is out of range"),
        (lambda: ops.sum(ROWS, dim=(0, 0)), ValueError, "twice"),
        (lambda: ops.pad(ROWS, (-9, 0)), ValueError, "cuts more than dimension 1"),
        (lambda: ops.where(ROWS, 1.0, 0.0), TypeError, "condition must be bool"),
        (lambda: ops.relu(ROWS)[5], IndexError, "index 5 is out of range for dimension 0 of size 4"),
        (lambda: ops.relu(ROWS)[ROWS[:3] > 0], IndexError, r"a mask of shape \(3, 5\) does not fit"),
        (lambda: ops.relu(np.array([1 + 2j])), TypeError, "complex"),
        (lambda: nn.Linear(2, 1)(np.array([["a", "b"]])), TypeError, "<U1|str"),
        (lambda: nn.Linear(2, 1)(np.array([[object(), None]])), TypeError, "object"),
        (lambda: nn.Linear(2, 1)([[1.0], [2.0, 3.0]]), ValueError, "cannot make an array"),
        (lambda: optim.SGD(lr=float("nan")), ValueError, "lr must be a finite number"),
        (lambda: optim.SGD(lr=-1), ValueError, "lr must be a finite number"),
        (lambda: optim.SGD(lr="fast"), TypeError, "lr must be a number"),
        (lambda: optim.SGD(lr=0.1, nesterov=True), ValueError, "nesterov needs momentum"),
        (lambda: optim.Adam(betas=(0.9, 1.0)), ValueError, r"betas\[1\]"),
        (lambda: optim.Adam(eps=-1.0), ValueError, "eps"),
        (lambda: rv.set_num_threads(0), ValueError, "at least 1"),
        (lambda: rv.set_num_threads(1.5), TypeError, "integer"),  # type: ignore[arg-type]
        (lambda: rv.seed(-1), ValueError, "from 0"),
        (lambda: rv.seed("x"), TypeError, "integer"),  # type: ignore[arg-type]
        (lambda: rv.TrainStep(ROWS, nn.MSELoss(), optim.SGD()), TypeError, "model must be a Module"),  # type: ignore[arg-type]
        (lambda: rv.TrainStep(nn.ReLU(), nn.MSELoss(), 0.1), TypeError, "ravine.optim"),  # type: ignore[arg-type]
        (lambda: rv.TrainStep(nn.ReLU(), ops.mse_loss, optim.SGD())(ROWS, ROWS), ValueError, "nothing to"),
        (lambda: rv.value_and_grad(lambda x: x * 2)(ROWS), ValueError, r"scalar, got shape \(4, 5\)"),
        (lambda: rv.value_and_grad(lambda x: 3.0)(ROWS), TypeError, "scalar tensor, got float"),
        (lambda: rv.value_and_grad(lambda x: (x * 1.0).sum())(LABELS), TypeError, "must be floating"),
        (lambda: rv.hvp(lambda x: x.sum())(ROWS, ROWS[:2]), ValueError, r"shape \(4, 5\), got \(2, 5\)"),
    ],
)  # fmt: skip
def test_error(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def trained() -> tuple[nn.Module, rv.TrainStep, np.ndarray, np.ndarray]:
    model = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    step = rv.TrainStep(model, nn.CrossEntropyLoss(), optim.Adam(lr=0.01))
    x = np.random.default_rng(0).standard_normal((6, 5)).astype("float32")
    y = np.array([0, 1, 2, 0, 1, 2])
    step(x, y)
    return model, step, x, y


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda x, y: (x[:, :4], y), ValueError),
        (lambda x, y: (x[0], y), ValueError),
        (lambda x, y: (x[:1], y[:1]), ValueError),
        (lambda x, y: (x, y[:5]), ValueError),
        (lambda x, y: (x[:0], y[:0]), ValueError),
        (lambda x, y: (x[:, :0], y), ValueError),
        (lambda x, y: (x, y + 1), ValueError),
        (lambda x, y: (x, y - 1), ValueError),
        (lambda x, y: (x, np.full_like(y, 2**40)), ValueError),
        (lambda x, y: (x, y.astype("float32")), TypeError),
        (lambda x, y: (x.astype("O"), y), TypeError),
        (lambda x, y: (x.astype("complex64"), y), TypeError),
        (lambda x, y: (x, y.astype("O")), TypeError),
    ],
)
def test_a_bad_call_of_a_train_step_changes_nothing(change: Any, error: type[Exception]) -> None:
    model, step, x, y = trained()
    before = {**model.state_dict(), **step.state_dict()}
    with pytest.raises(error):
        step(*change(x, y))
    after = {**model.state_dict(), **step.state_dict()}
    assert before.keys() == after.keys()
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array, err_msg=name)
    assert np.isfinite(step(x, y))


@pytest.mark.parametrize("rate", [float("nan"), float("inf"), -0.1, "fast"])
def test_a_bad_learning_rate_from_a_schedule_changes_nothing(rate: Any) -> None:
    model = nn.Linear(5, 3)
    step = rv.TrainStep(model, nn.CrossEntropyLoss(), optim.SGD(lr=lambda i: 0.1 if i < 2 else rate))
    x, y = ROWS + 1, LABELS
    step(x, y), step(x, y)
    before = model.state_dict()
    with pytest.raises((ValueError, TypeError), match="lr in step 2"):
        step(x, y)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    assert step.steps == 2


def test_arrays_of_other_layouts_and_byte_orders_are_converted() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    x = np.random.default_rng(0).standard_normal((5, 3, 4)).astype("float32")
    expected = model(x)
    wide = np.zeros((5, 3, 8), "float32")
    wide[:, :, ::2] = x
    variants = [
        wide[:, :, ::2], np.asfortranarray(x), x.astype(">f4"), x.astype("float64"), x.tolist(),
        x[::-1][::-1],
        np.ma.getdata(np.ma.array(x)),
    ]  # fmt: skip
    for variant in variants:
        np.testing.assert_array_equal(model(variant), expected)
    half = x.astype("float16")
    np.testing.assert_array_equal(model(half), model(half.astype("float32")))
    labels = np.array([0, 1, 1, 0, 1])
    losses = [
        rv.ops.cross_entropy(expected, y).item()
        for y in (
            labels,
            labels.astype(">i8"),
            labels.astype("int32"),
            labels.astype("uint8"),
            labels.astype("int16"),
        )
    ]
    assert len(set(losses)) == 1


def test_empty_batches() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 3)
    ).eval()
    assert model(np.zeros((0, 1, 4, 4))).shape == (0, 3)
    assert ops.sum(np.zeros((0, 3)), dim=0).numpy().tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="max"):
        ops.amax(np.zeros((0, 3)), dim=0)


def test_symbolic_tensors_say_that_they_have_no_numbers() -> None:
    class Wrong(nn.Module):
        how: Any = staticmethod(float)

        def forward(self, x):
            return self.how(x.sum())

    for how in (float, int, bool, np.asarray, lambda t: t.numpy(), lambda t: t.item()):
        model = Wrong()
        Wrong.how = staticmethod(how)
        with pytest.raises(RuntimeError, match=r"rv.eager\(\)"):
            model(np.ones(3))


def test_tensors_kept_from_another_recording_are_refused() -> None:
    kept = []

    class Keeper(nn.Module):
        def forward(self, x):
            kept.append(x * 2)
            return x + kept[0]

    model = Keeper()
    model(np.ones(3))
    with pytest.raises(RuntimeError, match="another recording"):
        model(np.ones(4))


def test_functions_return_only_tensors_and_constants() -> None:
    class Odd(nn.Module):
        def forward(self, x):
            return object()

    with pytest.raises(TypeError, match=r"Odd\.forward returned object"):
        Odd()(np.ones(3))


def test_a_failed_recording_leaves_the_thread_usable() -> None:
    with pytest.raises(ValueError, match="features"):
        nn.Linear(3, 2)(np.ones((2, 4)))
    assert nn.Linear(3, 2)(np.ones((2, 3))).shape == (2, 2)
