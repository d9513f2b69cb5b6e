"""L-BFGS on mini-batches against its formulas written out in NumPy; its state, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import nn, optim


def reference(
    gradient: Any, w: np.ndarray, batches: list[Any], lr: float, m: int, damping: float
) -> list[np.ndarray]:
    """The weights after each step; gradient(w, batch) is that of a mini-batch."""
    pairs: list[tuple[np.ndarray, np.ndarray]] = []  # the newest first
    previous, path = w, []
    for batch in batches:
        g = gradient(w, batch)
        s = w - previous
        y = g - gradient(previous, batch) + damping * s
        if s @ y > np.finfo(float).eps * (y @ y):
            pairs = [(s, y), *pairs][:m]
        if pairs:
            # The inverse Hessian itself, by the update formula of BFGS from the oldest pair on.
            H = np.eye(len(w)) * (pairs[0][0] @ pairs[0][1]) / (pairs[0][1] @ pairs[0][1])
            for s, y in reversed(pairs):
                V = np.eye(len(w)) - np.outer(y, s) / (s @ y)
                H = V.T @ H @ V + np.outer(s, s) / (s @ y)
            direction = H @ g
        else:
            direction = g / max(1.0, np.linalg.norm(g))
        previous, w = w, w - lr * direction
        path.append(w)
    return path


def net() -> nn.Module:
    rv.seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).to("float64")


def batches(n: int, size: int = 16, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    result = []
    for _ in range(n):
        x = rng.standard_normal((size, 3))
        result.append((x, np.stack([np.sin(x[:, 0]), x[:, 1] * x[:, 2]], 1)))
    return result


def weights(model: nn.Module) -> np.ndarray:
    return np.concatenate([p.data.ravel() for p in model.parameters()])


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize(
    "arguments", [{}, {"history_size": 3, "damping": 0.2, "lr": 0.5}, {"history_size": 1}]
)
def test_the_formula(arguments: dict[str, Any], eager: bool) -> None:
    probe, model, data = net(), net(), batches(12)
    gradient_of = rv.value_and_grad(lambda model, x, y: ((model(x) - y) ** 2).mean(), probe)

    def gradient(w: np.ndarray, batch: Any) -> np.ndarray:
        start = 0
        for p in probe.parameters():
            p.data[...] = w[start : start + p.data.size].reshape(p.shape)
            start += p.data.size
        return np.concatenate([g.ravel() for g in gradient_of(*batch)[1].values()])

    expected = reference(
        gradient,
        weights(model),
        data,
        arguments.get("lr", 1.0),
        arguments.get("history_size", 10),
        arguments.get("damping", 0.0),
    )
    step = rv.TrainStep(model, nn.MSELoss(), optim.LBFGS(**arguments))
    for batch, w in zip(data, expected, strict=True):
        if eager:
            with rv.eager():
                step(*batch)
        else:
            step(*batch)
        np.testing.assert_allclose(weights(model), w, rtol=1e-7, atol=1e-9)


def test_it_solves_a_least_squares_problem_in_few_steps() -> None:
    ((x, _),) = batches(1, 64)
    y = x @ np.array([[1.0], [-2.0], [3.0]]) + 0.5
    model = nn.Linear(3, 1).to("float64")
    step = rv.TrainStep(model, nn.MSELoss(), optim.LBFGS())
    losses = [step(x, y) for _ in range(25)]
    assert losses[-1] < 1e-12
    np.testing.assert_allclose(model.weight.data, [[1, -2, 3]], atol=1e-6)


def conv_net() -> nn.Module:
    rv.seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 36, 3),
    )


def images(n: int) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [(rng.standard_normal((8, 1, 6, 6)).astype("float32"), rng.integers(0, 3, 8)) for _ in range(n)]


def run(model: nn.Module, step: rv.TrainStep, data: list[Any]) -> tuple[Any, ...]:
    losses = [step(*batch) for batch in data]
    return losses, {name: value.tobytes() for name, value in model.state_dict().items()}


def test_same_bits_on_any_number_of_threads() -> None:
    results = []
    for threads in (1, 2, 3, 5):
        rv.set_num_threads(threads)
        model = conv_net()
        results.append(run(model, rv.TrainStep(model, nn.CrossEntropyLoss(), optim.LBFGS(lr=0.2)), images(6)))
    assert results[0] == results[1] == results[2] == results[3]


def test_the_second_gradient_does_not_count_in_running_statistics() -> None:
    model, data = conv_net(), images(1)
    (x, y), other = data[0], conv_net()
    rv.TrainStep(model, nn.CrossEntropyLoss(), optim.LBFGS(lr=0.1))(x, y)
    rv.TrainStep(other, nn.CrossEntropyLoss(), optim.SGD(lr=0.1))(x, y)
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        key = next(key for key in model.state_dict() if key.endswith(name))
        np.testing.assert_array_equal(model.state_dict()[key], other.state_dict()[key])


def test_its_memory_is_saved_and_resumes_to_the_same_bits() -> None:
    model, data = conv_net(), images(10)
    step = rv.TrainStep(model, nn.CrossEntropyLoss(), optim.LBFGS(lr=0.2, history_size=4))
    run(model, step, data[:6])
    other = conv_net()
    resumed = rv.TrainStep(other, nn.CrossEntropyLoss(), optim.LBFGS(lr=0.2, history_size=4))
    other.load_state_dict(model.state_dict())
    state = step.state_dict()
    assert state["preconditioner.0.weight.s"].shape == (4, 4, 1, 3, 3)
    for wrong, message in (
        (
            {**state, "preconditioner.0.weight.s": np.zeros((3, 4, 1, 3, 3))},
            r"shape \(3, 4, 1, 3, 3\), expected",
        ),
        ({**state, "preconditioner.nobody.s": np.zeros(1)}, r"unexpected key preconditioner\.nobody\.s"),
        ({k: v for k, v in state.items() if k != "preconditioner.rho"}, r"missing key preconditioner\.rho"),
    ):
        with pytest.raises(ValueError, match=f"load_state_dict of LBFGS: .*{message}"):
            resumed.load_state_dict(wrong)
    resumed.load_state_dict(state)
    loaded = resumed.state_dict()
    assert {key: value.tobytes() for key, value in loaded.items()} == {
        k: v.tobytes() for k, v in state.items()
    }
    assert run(other, resumed, data[6:]) == run(model, step, data[6:])


def test_other_optimizers_refuse_its_state() -> None:
    model, (batch,) = net(), batches(1)
    step = rv.TrainStep(model, nn.MSELoss(), optim.LBFGS())
    step(*batch)
    with pytest.raises(ValueError, match=r"load_state_dict of SGD: unexpected key preconditioner"):
        rv.TrainStep(model, nn.MSELoss(), optim.SGD()).load_state_dict(step.state_dict())


def test_freezing_starts_the_memory_anew() -> None:
    model, data = net(), batches(8)
    step = rv.TrainStep(model, nn.MSELoss(), optim.LBFGS(lr=0.5))
    run(model, step, data[:4])
    model[0].weight.requires_grad = False
    frozen = model[0].weight.data.copy()
    run(model, step, data[4:5])
    np.testing.assert_array_equal(model[0].weight.data, frozen)
    assert "preconditioner.0.weight.s" not in step.state_dict()
    fresh = net()
    fresh.load_state_dict(model.state_dict())
    fresh[0].weight.requires_grad = False
    new = rv.TrainStep(fresh, nn.MSELoss(), optim.LBFGS(lr=0.5))
    new(*data[4])
    step_state = step.state_dict()
    assert float(step_state["preconditioner.rho"][0]) == 0.0  # one step since: no pair yet
    losses = [step(*batch) for batch in data[5:]]
    assert all(np.isfinite(losses))


def test_without_curvature_it_is_gradient_descent_no_longer_than_lr() -> None:
    """A linear loss: gradients do not change, so that no pair is kept."""
    model = nn.Linear(3, 1, bias=False).to("float64")
    x, start = np.array([[3.0, 0.0, 4.0]]), model.weight.data.copy()
    step = rv.TrainStep(model, lambda output, y: (output - y).sum(), optim.LBFGS(lr=0.1))
    for i in range(3):
        step(x, np.zeros((1, 1)))
        np.testing.assert_allclose(model.weight.data, start - 0.1 * (i + 1) * x / 5, rtol=1e-12)


def test_schedules_and_weight_decay_act() -> None:
    model, data = net(), batches(2)
    step = rv.TrainStep(
        model, nn.MSELoss(), optim.LBFGS(lr=optim.schedules.Piecewise([1], [0.0, 0.5]), weight_decay=0.1)
    )
    before = weights(model)
    step(*data[0])
    np.testing.assert_array_equal(weights(model), before)
    gradient = np.concatenate(
        [
            g.ravel()
            for g in rv.value_and_grad(lambda m, x, y: ((m(x) - y) ** 2).mean(), model)(*data[1])[1].values()
        ]
    )
    step(*data[1])
    direction = gradient / max(1.0, np.linalg.norm(gradient))
    np.testing.assert_allclose(weights(model), before - 0.5 * (direction + 0.1 * before), rtol=1e-12)


def test_a_wrapper_around_it() -> None:
    """Lookahead with every step a full one is the optimizer inside."""
    data, results = batches(6), []
    for optimizer in (optim.LBFGS(lr=0.5), optim.Lookahead(optim.LBFGS(lr=0.5), k=1, alpha=1.0)):
        model = net()
        results.append(run(model, rv.TrainStep(model, nn.MSELoss(), optimizer), data))
    assert results[0] == results[1]


def test_a_gradient_that_is_not_finite_leaves_the_memory_as_it_was() -> None:
    model, data = net(), batches(8)
    step = rv.TrainStep(model, nn.MSELoss(), optim.LBFGS(lr=0.5, skip_nonfinite=True))
    run(model, step, data[:4])
    before = {
        key: value.tobytes() for key, value in step.state_dict().items() if key.endswith((".s", ".y", "rho"))
    }
    x, y = data[4]
    step(x * np.nan, y)
    assert step.skipped == 1
    after = step.state_dict()
    assert {key: after[key].tobytes() for key in before} == before
    assert np.isfinite([step(*batch) for batch in data[5:]]).all()


def test_random_losses_are_refused() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 2))
    step = rv.TrainStep(model, nn.MSELoss(), optim.LBFGS())
    before = {name: value.tobytes() for name, value in model.state_dict().items()}
    x, y = batches(1)[0]
    with pytest.raises(ValueError, match="LBFGS: compares two gradients of a mini-batch"):
        step(x, y)
    assert {name: value.tobytes() for name, value in model.state_dict().items()} == before
    model[1].eval()
    assert np.isfinite(step(x, y))


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"history_size": 0}, ValueError, "LBFGS: history_size must be at least 1, got 0"),
        ({"history_size": 2.5}, TypeError, "LBFGS: history_size must be an integer, got 2.5"),
        ({"accumulate": 2}, ValueError, "LBFGS: gradients cannot be accumulated, got accumulate=2"),
        ({"damping": -1.0}, ValueError, "damping must be a finite number at least 0, got -1"),
        ({"damping": "a"}, TypeError, "damping must be a number, got 'a'"),
        ({"lr": -1.0}, ValueError, "lr must be a finite number at least 0, got -1"),
        ({"momentum": 0.9}, TypeError, "unexpected keyword argument 'momentum'"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        optim.LBFGS(**arguments)


def test_changes_after_construction() -> None:
    optimizer = optim.LBFGS()
    optimizer.lr = 0.5
    assert optimizer.current_lr == 0.5
    for name in ("history_size", "damping", "maximize"):
        with pytest.raises(AttributeError, match=f"LBFGS: {name} holds from construction on"):
            setattr(optimizer, name, 3)
    with pytest.raises(AttributeError, match="LBFGS has no hyperparameter 'nesterov'"):
        optimizer.nesterov = True


def test_parameters_of_two_dtypes() -> None:
    model = nn.Sequential(nn.Linear(3, 4).to("float64"), nn.Linear(4, 2).to("float64"))
    model[1].bias.to_dtype("float32")
    step = rv.TrainStep(model, nn.MSELoss(), optim.LBFGS())
    with pytest.raises(ValueError, match=r"parameters of one dtype are expected, got float32, float64"):
        step(*batches(1)[0])
