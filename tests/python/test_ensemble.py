"""Ensembles: members train as they do alone, to the bit; they rest, fail, leave and resume by themselves."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import ravine as rv
from ravine import nn, ops, optim

N = 3


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))


def cnn() -> nn.Module:
    layers = (nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
    return nn.Sequential(nn.Unflatten(1, (1, 6, 1)), *layers[:3], nn.Flatten(), nn.Linear(24, 3))


def tied() -> nn.Module:
    net = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.LayerNorm(6), nn.Linear(6, 6), nn.Linear(6, 3))
    net[3].weight = net[0].weight
    return net


def data(seed: int = 0, n: int = 20) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, 6)).astype("f"), rng.integers(0, 3, n)


def bits(model: nn.Module) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in model.state_dict().items()}


def alone(model: nn.Module, optimizer: optim.Optimizer, batches, loss=None) -> nn.Module:
    """A copy of the model, trained by itself."""
    twin = copy.deepcopy(model)
    step = rv.TrainStep(twin, loss or nn.CrossEntropyLoss(), optimizer)
    for x, y in batches:
        step(x, y)
    step.finish_accumulation()
    return twin


@pytest.mark.parametrize(
    ("make", "optimizer"),
    [
        (mlp, optim.Adam(lr=0.01)),
        (cnn, optim.SGD(lr=0.1, momentum=0.9, nesterov=True)),
        (tied, optim.AdamW(lr=optim.schedules.Linear(0.1, 0.0, 5), clip_norm=0.3)),
        (mlp, optim.SGD(lr=0.1, accumulate=2)),
        (mlp, optim.SAM(optim.SGD(lr=0.1))),
        (mlp, optim.Muon(lr=0.01)),
    ],
    ids=["adam", "batch-norm", "tied-clip-schedule", "accumulate", "sam", "muon"],
)
def test_members_train_as_alone_to_the_bit(make, optimizer) -> None:
    rv.seed(0)
    ensemble = rv.Ensemble(make, N)
    batches = [data(i) for i in range(5)]
    expected = [bits(alone(member, optimizer, batches)) for member in ensemble.members]
    step = rv.TrainStep(ensemble, nn.CrossEntropyLoss(), optimizer)
    for x, y in batches:
        step(x, y)
    step.finish_accumulation()
    assert [bits(member) for member in ensemble.members] == expected
    assert len({parts["0.weight" if make is not cnn else "1.weight"] for parts in expected}) == N


@pytest.mark.parametrize("threads", [1, 2])
def test_rules_rates_and_batches_by_member(threads) -> None:
    rv.seed(1)
    ensemble = rv.Ensemble(mlp, N)
    rules = [optim.Adam(lr=0.01), optim.Adam(lr=0.1, clip_norm=0.1), optim.SGD(lr=0.5, momentum=0.9)]
    batches = [[data(10 * i + j) for i in range(N)] for j in range(4)]
    expected = [
        bits(alone(member, rules[i], [own[i] for own in batches]))
        for i, member in enumerate(ensemble.members)
    ]
    with rv.threads(threads):
        step = rv.TrainStep(ensemble, nn.CrossEntropyLoss(), rules)
        for j, own in enumerate(batches):
            x, y = [list(column) for column in zip(*own, strict=True)]
            losses = step(x, y, each=True) if j % 2 else step(np.stack(x), np.stack(y), each=True)
            assert losses.shape == (N,)
            assert losses.dtype == np.float32
    assert [bits(member) for member in ensemble.members] == expected
    assert step.steps.tolist() == [4] * N
    assert step.optimizer == rules


def test_losses_parts_and_weights_are_those_of_each() -> None:
    rv.seed(2)
    ensemble = rv.Ensemble(mlp, N)
    x, y = data()
    weight = np.random.default_rng(0).random(20)

    def loss_of(model, x, y):
        fit = nn.CrossEntropyLoss()(model(x), y)
        norm = model[0].weight.square().sum()
        return fit + 0.01 * norm, {"fit": fit, "norm": norm}

    single = [rv.TrainStep(loss_of, copy.deepcopy(m), optim.SGD(lr=0.1)) for m in ensemble.members]
    expected = [own(x, y, weight=weight * (i + 1)) for i, own in enumerate(single)]
    step = rv.TrainStep(loss_of, ensemble, optim.SGD(lr=0.1))
    weights = np.stack([weight * (i + 1) for i in range(N)])
    losses = step(np.stack([x] * N), np.stack([y] * N), weight=weights, each=True)
    np.testing.assert_array_equal(losses, np.float32(expected))
    for name in ("fit", "norm"):
        np.testing.assert_array_equal(step.parts[name], np.float32([own.parts[name] for own in single]))
    again = step(x, y, weight=weight)
    np.testing.assert_array_equal(again, np.float32([own(x, y, weight=weight) for own in single]))


def test_accumulation_counts_each_member_by_its_own_denominator() -> None:
    rv.seed(3)
    ensemble = rv.Ensemble(mlp, 2)
    loss, rule = nn.CrossEntropyLoss(ignore_index=0), optim.SGD(lr=0.1, accumulate=2)
    batches = [[data(10 * i + j) for i in range(2)] for j in range(3)]
    batches[0][1][1][:15] = 0
    expected = [
        bits(alone(m, rule, [own[i] for own in batches], loss)) for i, m in enumerate(ensemble.members)
    ]
    step = rv.TrainStep(ensemble, loss, rule)
    for own in batches:
        step(*[list(column) for column in zip(*own, strict=True)], each=True)
    assert step.finish_accumulation()
    assert [bits(member) for member in ensemble.members] == expected


def test_a_member_that_is_not_finite_is_left_and_the_others_are_trained() -> None:
    rv.seed(4)
    ensemble = rv.Ensemble(mlp, N)
    x, y = data()
    bad = x.copy()
    bad[3, 2] = np.nan
    own = [[x, bad, x], [x, x, x]]
    expected = [
        bits(alone(m, optim.Adam(), [(xs[i], y) for xs in own])) for i, m in enumerate(ensemble.members)
    ]
    step = rv.TrainStep(ensemble, nn.CrossEntropyLoss(), optim.Adam())
    losses = step(own[0], [y] * N, each=True)
    assert np.isfinite(losses).tolist() == [True, False, True]
    assert np.isfinite(step(own[1], [y] * N, each=True)).all()
    assert [bits(member) for member in ensemble.members] == expected
    assert (step.skipped.tolist(), step.steps.tolist()) == ([0, 1, 0], [2, 1, 2])


def test_gradients_that_are_not_finite_are_left_out_by_member() -> None:
    def steep(model, x):
        # The square root has no slope at 0, where member 1 begins.
        return ops.sqrt(ops.abs(model(x).sum())) + 1

    ensemble = rv.Ensemble(lambda: nn.Linear(2, 1, bias=False), 2)
    ensemble.members[1].weight.data[:] = 0
    before = bits(ensemble.members[1])
    step = rv.TrainStep(steep, ensemble, optim.SGD(lr=0.1, skip_nonfinite=True))
    losses = step(np.ones((3, 2)))
    assert np.isfinite(losses).all()
    assert (step.skipped.tolist(), step.steps.tolist()) == ([0, 1], [1, 0])
    assert bits(ensemble.members[1]) == before


def test_members_that_rest_keep_all_they_have() -> None:
    rv.seed(5)
    ensemble = rv.Ensemble(cnn, N)
    x, y = data()
    expected = [
        bits(alone(m, optim.Adam(), [(x, y)] * k)) for m, k in zip(ensemble.members, (3, 1, 2), strict=True)
    ]
    step = rv.TrainStep(ensemble, nn.CrossEntropyLoss(), optim.Adam())
    step(x, y)
    step.active = np.array([True, False, True])
    losses = step(x, y)
    assert np.isnan(losses).tolist() == [False, True, False]
    losses = step([x, x, None], [y, y, None], each=True)
    assert np.isnan(losses).tolist() == [False, True, True]
    assert [bits(member) for member in ensemble.members] == expected
    step.active = np.zeros(N, bool)
    assert np.isnan(step(x, y)).all()
    with pytest.raises(ValueError, match="read-only"):
        step.active[0] = True


def test_dropout_differs_between_members_and_not_by_who_rests() -> None:
    def net() -> nn.Module:
        return nn.Sequential(nn.Linear(6, 16), nn.Dropout(0.5), nn.Linear(16, 3))

    def trained(mask):
        rv.seed(6)
        ensemble = rv.Ensemble(net, N, seeds=[1, 1, 1])
        step = rv.TrainStep(ensemble, nn.CrossEntropyLoss(), optim.SGD(lr=0.1))
        step.active = np.array(mask)
        for _ in range(3):
            step(*data())
        return [bits(member) for member in ensemble.members]

    every = trained([True] * N)
    assert len({own["0.weight"] for own in every}) == N
    assert trained([False, True, True])[1:] == every[1:]


def test_a_run_resumes_to_the_same_bits() -> None:
    def begin():
        rv.seed(7)
        ensemble = rv.Ensemble(mlp, N)
        step = rv.TrainStep(ensemble, nn.CrossEntropyLoss(), optim.Adam(lr=0.01))
        step.hyper["lr"] = [0.01, 0.02, 0.03]
        return ensemble, step

    ensemble, step = begin()
    step(*data())
    step.active = np.array([True, True, False])
    step(*data(1))
    states = ensemble.state_dict(), step.state_dict()
    twin = pickle.loads(pickle.dumps(step))
    copied = copy.deepcopy(step)
    losses = step(*data(2))
    for other in (twin, copied):
        np.testing.assert_array_equal(other(*data(2)), losses)
        assert bits(other.model) == bits(ensemble)
    again, resumed = begin()
    resumed.hyper["lr"] = 0.5
    again.load_state_dict(states[0])
    resumed.load_state_dict(states[1])
    assert resumed.hyper["lr"].tolist() == [0.01, 0.02, 0.03]
    np.testing.assert_array_equal(resumed(*data(2)), losses)
    assert bits(again) == bits(ensemble)
    broken = dict(states[1]) | {"ensemble.active": np.ones(5, bool)}
    with pytest.raises(ValueError, match=r"ensemble.active has shape \(5,\), expected \(3,\)"):
        resumed.load_state_dict(broken)


def test_members_leave_as_ordinary_models() -> None:
    ensemble = rv.Ensemble(mlp, N, seeds=[5, 6, 5])
    x, _ = data()
    rv.seed(5)
    assert bits(mlp()) == bits(ensemble.member(0)) == bits(ensemble.members[2]) != bits(ensemble.members[1])
    ensemble.eval()
    outputs = ensemble(x)
    own = np.stack([xi * x for xi in (1, 2, 3)])
    for i, member in enumerate(ensemble.members):
        np.testing.assert_array_equal(outputs[i], member(x))
        np.testing.assert_array_equal(ensemble(own, each=True)[i], member(own[i]))
        np.testing.assert_array_equal(ensemble(list(own), each=True)[i], member(own[i]))
    found = ensemble.predict(x, batch_size=8, transform=lambda z: ops.softmax(z, -1))
    np.testing.assert_allclose(found.members, ops.softmax(outputs, -1).numpy(), rtol=1e-6)
    np.testing.assert_array_equal(found.mean, found.members.mean(0))
    np.testing.assert_array_equal(found.spread, found.members.std(0))
    assert len(ensemble) == N
    state = ensemble.stacked_state()
    assert state["0.weight"].shape == (N, 16, 6)
    other = rv.Ensemble(mlp, N)
    other.load_stacked_state(state)
    assert bits(other) == bits(ensemble)
    with pytest.raises(ValueError, match=r"expected arrays \[3, ...\]"):
        other.load_stacked_state({name: value[:2] for name, value in state.items()})


def test_members_with_several_outputs_are_stacked_one_by_one() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(6, 2)

        def forward(self, x):
            return {"a": self.linear(x), "b": (x, None)}

    outputs = rv.Ensemble(Two, N)(data()[0])
    assert outputs["a"].shape == (N, 20, 2)
    assert outputs["b"][0].shape == (N, 20, 6)
    with pytest.raises(TypeError, match="several outputs"):
        rv.Ensemble(Two, N).predict(data()[0])


def test_hyperparameters_by_member() -> None:
    step = rv.TrainStep(rv.Ensemble(mlp, N), nn.CrossEntropyLoss(), optim.SGD(lr=0.1, clip_norm=1.0))
    step.hyper["clip_norm"] = np.array([1.0, 2.0, 3.0])
    assert step.hyper["clip_norm"].tolist() == [1.0, 2.0, 3.0]
    assert step.hyper["lr"].tolist() == [0.1] * N
    step(*data())
    assert (step.gradient_norm > 0).all()
    with pytest.raises(ValueError, match="one for each of 3 members, got 2"):
        step.hyper["lr"] = [0.1, 0.2]
    with pytest.raises(ValueError, match="lr"):
        step.hyper["lr"] = [0.5, 0.5, -1.0]
    assert step.hyper["lr"].tolist() == [0.1] * N
    with pytest.raises(KeyError):
        step.hyper["beta"]


def test_eager_steps_and_profiles() -> None:
    rv.seed(8)
    ensemble = rv.Ensemble(mlp, 2)
    twin = copy.deepcopy(ensemble)
    x, y = data()
    step = rv.TrainStep(ensemble, nn.CrossEntropyLoss(), optim.SGD(lr=0.1))
    with rv.eager():
        eager = rv.TrainStep(twin, nn.CrossEntropyLoss(), optim.SGD(lr=0.1))(x, y)
    np.testing.assert_allclose(step(x, y), eager, rtol=1e-5)
    before = bits(ensemble)
    assert "update" in step.profile(x, y, runs=2).by_phase()
    step.check(x, y)
    assert bits(ensemble) == before


def different() -> nn.Module:
    return nn.Linear(2, next(SIZES))


SIZES = iter((3, 4))
LINEAR = nn.Linear(6, 3)
X, Y = data()
CASES = {
    "no function": (lambda: rv.Ensemble(mlp(), 2), TypeError, "make_model must be a function"),
    "no module": (lambda: rv.Ensemble(lambda: 3, 2), TypeError, "must return a Module, got int"),
    "n": (lambda: rv.Ensemble(mlp, 0), ValueError, "n"),
    "seeds": (lambda: rv.Ensemble(mlp, 2, seeds=[1]), ValueError, "1 seeds for 2 members"),
    "twice": (lambda: rv.Ensemble(lambda: LINEAR, 2), ValueError, "one module twice"),
    "alike": (
        lambda: rv.Ensemble(different, 2),
        ValueError,
        r"member 1 has 'weight' of shape \(4, 2\).*member 0 has 'weight' of shape \(3, 2\)",
    ),
    "optimizers": (
        lambda: rv.TrainStep(rv.Ensemble(mlp, 2), nn.CrossEntropyLoss(), [optim.SGD(lr=1)]),
        ValueError,
        "1 optimizers for an ensemble of 2 members",
    ),
    "rule": (
        lambda: rv.TrainStep(rv.Ensemble(mlp, 2), nn.CrossEntropyLoss(), 0.1),
        TypeError,
        "one of ravine.optim, or 2 of them",
    ),
    "pieces": (lambda: begun()(X, Y, each=True), ValueError, r"each=True needs arrays \[2, ...\]"),
    "list": (lambda: begun()([X], [Y], each=True), ValueError, "one item for each of 2 members, got 1"),
    "batch": (lambda: begun()(X), TypeError, "takes x and y, got 1"),
    "weights": (lambda: begun()(X, Y, weight=-np.ones(20)), ValueError, "finite and 0 or more"),
    "mask": (lambda: setattr(begun(), "active", [True]), ValueError, r"a mask, bool \[2\]"),
    "output": (lambda: begun().with_output(X, Y), TypeError, "call the ensemble"),
    "export": (lambda: rv.export("x", begun(), X, Y), TypeError, "export the members one by one"),
    "no examples": (
        lambda: rv.Ensemble(mlp, 2).predict(np.zeros((0, 6))),
        ValueError,
        "at least one example",
    ),
}


def begun() -> rv.EnsembleStep:
    return rv.TrainStep(rv.Ensemble(mlp, 2), nn.CrossEntropyLoss(), optim.SGD(lr=0.1))


@pytest.mark.parametrize("case", CASES)
def test_errors(case) -> None:
    function, kind, message = CASES[case]
    with pytest.raises(kind, match=message):
        function()
