"""Training steps over functions: several models, several optimizers, batches of any form, parts of a loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import nn, ops, optim

X = np.random.default_rng(0).standard_normal((8, 3)).astype("float32")
Y = np.random.default_rng(1).standard_normal((8, 1)).astype("float32")


def pair() -> dict[str, nn.Module]:
    rv.seed(0)
    return {"g": nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)), "d": nn.Linear(3, 1)}


def load(models: dict[str, nn.Module], saved: dict[str, np.ndarray]) -> None:
    for name, model in models.items():
        own = {key.partition(".")[2]: v for key, v in saved.items() if key.startswith(f"{name}.")}
        model.load_state_dict(own)


def states(models: dict[str, nn.Module]) -> dict[str, np.ndarray]:
    return {f"{name}.{key}": v for name, model in models.items() for key, v in model.state_dict().items()}


def test_a_function_gives_the_bits_of_model_and_loss() -> None:
    def run(make: Callable[[nn.Module], rv.TrainStep]) -> tuple[list[float], bytes]:
        rv.seed(0)
        model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 1))
        step = make(model)
        return [step(X, Y) for _ in range(4)], b"".join(v.tobytes() for v in model.state_dict().values())

    plain = run(lambda m: rv.TrainStep(m, nn.MSELoss(), optim.Adam(0.1)))
    assert plain == run(lambda m: rv.TrainStep(lambda m, x, y: ops.mse_loss(m(x), y), m, optim.Adam(0.1)))
    in_dicts = run(
        lambda m: rv.TrainStep(
            lambda models, x, y: ops.mse_loss(models["m"](x), y), {"m": m}, {"m": optim.Adam(0.1)}
        )
    )
    assert plain == in_dicts


def test_batches_of_any_form() -> None:
    """Σ wᵢ over arrays in dicts, tuples and alone has the gradient of each under its own name."""
    model = nn.Linear(3, 1, bias=False)

    def loss_of(model: Any, first: Any, more: Any, last: Any) -> Any:
        total = model(first).sum() + model(more["a"]).sum() + model(more["b"][1]).sum()
        return total + (model(last) * 0).sum()

    step = rv.TrainStep(loss_of, model, optim.SGD(1.0))
    before = model.weight.data.copy()
    step(X, {"a": 2 * X, "b": (Y, 3 * X)}, np.zeros((5, 3)))
    assert np.allclose(before - model.weight.data, 6 * X.sum(0), atol=1e-5)
    with pytest.raises(ValueError, match=r"\(8, 2\)"):
        step(X[:, :2], {"a": X, "b": (Y, X)}, X)


def test_models_without_an_optimizer_are_read_only() -> None:
    rv.seed(0)
    models: dict[str, nn.Module] = {
        "g": nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)),
        "d": nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1)),
    }
    before = states(models)
    step = rv.TrainStep(lambda m, x: m["d"](m["g"](x)).square().mean(), models, {"g": optim.SGD(0.1)})
    losses = [step(X) for _ in range(3)]
    assert losses[2] < losses[0]
    changed = {key for key, value in states(models).items() if not np.array_equal(value, before[key])}
    # The bias in front of a BatchNorm has a gradient of 0, except for rounding.
    assert changed | {"g.0.bias"} == {key for key in before if key.startswith("g.")}
    with rv.eager():
        step(X)
    assert all(np.array_equal(v, before[k]) for k, v in states(models).items() if k.startswith("d."))


def test_two_optimizers_of_one_loss_are_those_of_two_steps() -> None:
    """Of a sum of losses in different models each optimizer sees its own gradients, rates and options."""

    def fit(model: Any, x: Any) -> Any:
        return model(x).square().sum()

    rules: dict[str, Callable[[], optim.Optimizer]] = {
        "g": lambda: optim.Adam(0.1, clip_global_norm=0.5),
        "d": lambda: optim.SGD(lambda step: 0.01 * (step + 1), momentum=0.9, accumulate=2),
    }
    together, apart = pair(), pair()
    step = rv.TrainStep(
        lambda m, x: fit(m["g"], x) + fit(m["d"], x), together, {name: rule() for name, rule in rules.items()}
    )
    alone = {name: rv.TrainStep(fit, apart[name], rules[name]()) for name in apart}
    for _ in range(5):
        total = step(X)
        assert total == pytest.approx(alone["g"](X) + alone["d"](X), rel=1e-6)
    for key, value in states(apart).items():
        assert states(together)[key].tobytes() == value.tobytes(), key
    assert step.gradient_norm == {"g": alone["g"].gradient_norm, "d": None}
    assert (step.steps, list(step.optimizer)) == (5, ["g", "d"])


def test_a_resumed_step_of_two_optimizers_continues_with_the_same_bits() -> None:
    def make(models: dict[str, nn.Module]) -> rv.TrainStep:
        rules = {"d": optim.SGD(0.1, momentum=0.9), "g": optim.LBFGS(lr=0.5, history_size=2)}
        return rv.TrainStep(lambda m, x: m["d"](m["g"](x)).square().mean(), models, rules)

    models = pair()
    step = make(models)
    for _ in range(3):
        step(X)
    saved = (states(models), step.state_dict())
    assert {"optimizer.d.weight.momentum_buffer", "preconditioner.g.rho", "optimizer.g.steps"} <= set(
        saved[1]
    )
    losses = [step(X) for _ in range(3)]
    again = pair()
    resumed = make(again)
    resumed(X)  # from elsewhere
    load(again, saved[0])
    resumed.load_state_dict(saved[1])
    assert [resumed(X) for _ in range(3)] == losses
    kept = resumed.state_dict()
    with pytest.raises(ValueError, match="weight"):
        resumed.load_state_dict({**saved[1], "optimizer.d.weight.step": np.asarray(-1)})
    assert all(np.array_equal(value, kept[key]) for key, value in resumed.state_dict().items())


def test_an_update_of_two_optimizers_is_skipped_as_a_whole() -> None:
    """A gradient of d that is infinite leaves g as it was too, whichever of them comes first."""
    for names in (("g", "d"), ("d", "g")):
        models = {name: pair()[name] for name in names}
        rules = {name: optim.SGD(0.1, skip_nonfinite=name == "d") for name in names}
        step = rv.TrainStep(
            lambda m, x, y: m["g"](x).sum() + ops.sqrt(m["d"](x).square() * y).sum(), models, rules
        )
        step(X, np.ones_like(Y))
        before = states(models)
        step(X, np.zeros_like(Y))
        assert all(np.array_equal(value, before[key]) for key, value in states(models).items())
        assert (step.steps, step.skipped) == (1, 1)


def test_parts_of_a_loss() -> None:
    model = nn.Linear(3, 1)

    def loss_of(output: Any, y: Any) -> Any:
        fit, size = ops.mse_loss(output, y), output.abs().mean()
        return fit + 2 * size, {"fit": fit, "size": size, "constant": 3}

    step = rv.TrainStep(model, loss_of, optim.SGD(0.1))
    assert step.parts == {}
    for _ in range(2):  # compiled, and found again
        output = model(X)
        loss = step(X, Y)
        want = {"fit": np.mean((output - Y) ** 2), "size": np.abs(output).mean(), "constant": 3.0}
        assert step.parts == pytest.approx(want, rel=1e-5)
        assert loss == pytest.approx(step.parts["fit"] + 2 * step.parts["size"], rel=1e-6)
    with rv.eager():
        loss, output = step.with_output(X, Y)
    assert step.parts["size"] == pytest.approx(np.abs(output).mean(), rel=1e-5)


LOSS = nn.MSELoss()


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda m: rv.TrainStep(LOSS.forward, optim.SGD(0.1), m["g"]), TypeError, "function, model"),
        (lambda m: rv.TrainStep(len, m, optim.SGD(0.1)), TypeError, "must be a dict of optimizers"),
        (lambda m: rv.TrainStep(len, m, {"e": optim.SGD(0.1)}), ValueError, r"\['e'\].*\['g', 'd'\]"),
        (lambda m: rv.TrainStep(len, m, {}), ValueError, "some of the models"),
        (lambda m: rv.TrainStep(len, m, {"g": 0.1}), TypeError, "ravine.optim, got float"),
        (lambda m: rv.TrainStep(len, {"g": 1}, {"g": optim.SGD(0.1)}), TypeError, "'g' must be a Module"),
        (lambda m: rv.TrainStep(len, {"a.b": m["g"]}, {}), ValueError, "without dots"),
        (lambda m: rv.TrainStep(m["g"], LOSS, optim.SGD(0.1))(X), TypeError, "takes x and y, got 1"),
        (lambda m: rv.TrainStep(lambda m, x: m(x), m["g"], optim.SGD(0.1))(X), ValueError, "floating scalar"),
        (
            lambda m: rv.TrainStep(lambda m, x: (m(x).sum(), 1), m["g"], optim.SGD(0.1))(X),
            TypeError,
            "dict of named parts is expected, got int",
        ),
        (
            lambda m: rv.TrainStep(lambda m, x: (m(x).sum(), {"y": m(x)}), m["g"], optim.SGD(0.1))(X),
            ValueError,
            r"'y' with shape \(8, 3\)",
        ),
        (
            lambda m: rv.TrainStep(
                lambda m, x: m["a"](x).sum() + m["b"](x).sum(),
                {"a": m["g"], "b": m["g"]},
                {"a": optim.SGD(0.1), "b": optim.SGD(0.1)},
            )(X),
            ValueError,
            r"a\.0\.weight and b\.0\.weight are one parameter",
        ),
        (
            lambda m: rv.TrainStep(
                lambda m, x: m["g"](x).sum(), m, {"g": optim.SGD(0.1), "d": optim.SGD(0.1)}
            )(X),
            ValueError,
            r"Linear \(model 'd'\)",
        ),
        (
            lambda m: rv.TrainStep(lambda m, x: m(x).sum(), m["g"], optim.SGD(0.1)).with_output(X, Y),
            TypeError,
            "step.parts",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, kind: type[Exception], message: str) -> None:
    models = pair()
    before = states(models)
    with pytest.raises(kind, match=message):
        call(models)
    assert all(np.array_equal(value, before[key]) for key, value in states(models).items())
