"""Strategies against loops by hand: the same weights, bit by bit."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import nn, ops, optim
from ravine.data import Batches
from ravine.train import strategies

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 4)).astype("float32")
Y = (X @ RNG.standard_normal((4, 3))).argmax(1)
LOSS = nn.CrossEntropyLoss()
SIZES = {"batch_size": 16, "seed": 3}


def deep() -> nn.Sequential:
    rv.seed(0)
    hidden = [nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 5), nn.Tanh()]
    return nn.Sequential(*hidden, nn.Dropout(0.25), nn.Linear(5, 3))


def shuffled() -> Batches:
    return Batches(X, Y, batch_size=16, shuffle=True, seed=3)


def train(step: rv.TrainStep, source: Any, epochs: int) -> list[float]:
    """The mean losses of some passes over the source."""
    means = []
    for _ in range(epochs):
        losses = [(step(x, y), len(x)) for x, y in source]
        means.append(sum(loss * n for loss, n in losses) / sum(n for _, n in losses))
    return means


def assert_same(actual: nn.Module, expected: nn.Module) -> None:
    assert not any(module.training for module in actual.modules())
    ours, theirs = actual.state_dict(), expected.state_dict()
    assert list(ours) == list(theirs)
    for name, value in theirs.items():
        np.testing.assert_array_equal(ours[name], value, err_msg=name)


def assert_losses(stages: Any, expected: list[list[float]]) -> None:
    stages = [stages] if isinstance(stages, strategies.Stage) else stages
    assert [len(stage.losses) for stage in stages] == [len(means) for means in expected]
    for stage, means in zip(stages, expected, strict=True):
        np.testing.assert_allclose(stage.losses, means, rtol=1e-12)


@pytest.mark.parametrize("autoencoder", [False, True])
def test_greedy_pretraining(autoencoder: bool) -> None:
    model = deep()
    stages = strategies.greedy_pretrain(
        model, X, Y, LOSS, optim.Adam(lr=0.02), epochs=[2, 3], fine_tune_epochs=2, autoencoder=autoencoder,
        **SIZES,
    )  # fmt: skip
    assert [stage.name for stage in stages] == ["block 0", "block 1", "fine-tuning"]

    expected = deep()
    source, means = shuffled(), []
    parts = list(expected)
    for below, block, width, inputs, n in ((0, 3, 6, 4, 2), (3, 6, 5, 6, 3)):
        frozen, own = nn.freeze(nn.Sequential(*parts[:below])), nn.Sequential(*parts[below:block])
        if autoencoder:
            decoder = nn.Linear(width, inputs)
            whole = nn.ModuleList([own, decoder])
            step = rv.TrainStep(
                lambda m, x, y, frozen=frozen: ops.mse_loss(m[1](m[0](frozen(x))), frozen(x)),
                whole,
                optim.Adam(lr=0.02),
            )
        else:
            step = rv.TrainStep(nn.Sequential(frozen, own, nn.Linear(width, 3)), LOSS, optim.Adam(lr=0.02))
        means.append(train(step, source, n))
        nn.unfreeze(frozen)
    means.append(train(rv.TrainStep(expected, LOSS, optim.Adam(lr=0.02)), source, 2))
    assert_same(model, expected.eval())
    assert_losses(stages, means)


def teacher() -> nn.Sequential:
    rv.seed(7)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3))


def test_distillation() -> None:
    model, master = deep(), teacher()
    before = master.state_dict()
    rv.seed(1)
    stage = strategies.distill(model, master, X, Y, LOSS, optim.Adam(lr=0.02), temperature=3.0, alpha=0.25,
                               epochs=2, **SIZES)  # fmt: skip
    assert all(module.training for module in master.modules())
    for name, value in before.items():
        np.testing.assert_array_equal(master.state_dict()[name], value)

    expected, master = deep(), teacher().eval()
    rv.seed(1)

    def total(student: Any, x: Any, y: Any) -> Any:
        output, goal = student(x), ops.softmax(master(x) / 3.0, 1)
        soft = ops.mean(ops.sum(-(goal * ops.log_softmax(output / 3.0, 1)), 1))
        return LOSS(output, y) * 0.75 + soft * (0.25 * 9.0)

    assert_losses(stage, [train(rv.TrainStep(total, expected, optim.Adam(lr=0.02)), shuffled(), 2)])
    assert_same(model, expected)


def test_a_student_of_the_teacher_alone_needs_no_targets() -> None:
    student, master = nn.Linear(4, 3), nn.Linear(4, 3)
    stage = strategies.distill(
        student, master, X, None, LOSS, optim.Adam(lr=0.1), alpha=1.0, epochs=30, **SIZES
    )
    assert stage.losses[-1] < stage.losses[0]
    assert (student(X).argmax(1) == master(X).argmax(1)).mean() > 0.9


def test_fitnets() -> None:
    model, master = deep(), teacher()
    regressor = nn.Linear(5, 8)
    own = copy.deepcopy(regressor)
    rv.seed(1)
    stages = strategies.fitnet(
        model, master, X, Y, LOSS, optim.Adam(lr=0.02), hint="2", guided="4", regressor=regressor,
        hint_epochs=2, epochs=1, alpha=0.0, **SIZES,
    )  # fmt: skip
    assert [stage.name for stage in stages] == ["hint", "student"]

    expected, master = deep(), teacher().eval()
    rv.seed(1)
    lower, hints = nn.Sequential(*list(expected)[:5]), nn.Sequential(*list(master)[:3])
    source = shuffled()
    step = rv.TrainStep(
        lambda m, x, y: ops.mse_loss(m[1](m[0](x)), hints(x)),
        nn.ModuleList([lower, own]),
        optim.Adam(lr=0.02),
    )
    means = [train(step, source, 2)]
    means.append(train(rv.TrainStep(expected, LOSS, optim.Adam(lr=0.02)), source, 1))
    assert_losses(stages, means)
    assert_same(model, expected)


def test_fitnets_make_the_smallest_map_between_two_layers() -> None:
    images = RNG.standard_normal((8, 1, 6, 6)).astype("float32")
    labels = np.arange(8) % 2
    small = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 2))
    large = nn.Sequential(nn.Conv2d(1, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(80, 2))
    for hint, guided in (("1", "1"), ("2", "2"), ("3", "3")):
        stages = strategies.fitnet(small, large, images, labels, LOSS, optim.Adam(), hint=hint, guided=guided)
        assert np.isfinite(stages[0].losses).all() and len(stages[0].losses) == 1


def test_auxiliary_heads() -> None:
    model = deep()
    heads = {"2": nn.Linear(6, 3), "4": nn.Linear(5, 3)}
    own = {path: copy.deepcopy(head) for path, head in heads.items()}
    trainer = strategies.AuxiliaryHeads(model, heads, {"4": 0.5})
    rv.seed(1)
    stage = trainer.fit(X, Y, LOSS, optim.SGD(lr=0.1, momentum=0.9), epochs=2, **SIZES)
    assert [path for path, _ in model.named_children()] == list("0123456")

    expected = deep()
    rv.seed(1)

    def total(m: Any, x: Any, y: Any) -> Any:
        values = [x]
        for part in m[0]:
            values.append(part(values[-1]))
        first, second = m[1](values[3]), m[2](values[5])
        return LOSS(values[-1], y) + LOSS(first, y) * 0.3 + LOSS(second, y) * 0.5

    step = rv.TrainStep(total, nn.ModuleList([expected, own["2"], own["4"]]), optim.SGD(lr=0.1, momentum=0.9))
    assert_losses(stage, [train(step, shuffled(), 2)])
    assert_same(model, expected)


def test_continuation() -> None:
    def smooth(output: Any, y: Any, level: float) -> Any:
        return LOSS(output / (1.0 + level), y)

    model = deep()
    rv.seed(1)
    stages = strategies.continuation(
        model, X, Y, [2.0, 0.5, 0], optim.Adam(lr=0.02), epochs=[1, 0, 2], loss=smooth, **SIZES
    )
    assert [stage.name for stage in stages] == ["level 2", "level 0.5", "level 0"]
    expected, source = deep(), shuffled()
    rv.seed(1)
    means = []
    for level, n in ((2.0, 1), (0.5, 0), (0.0, 2)):
        step = rv.TrainStep(expected, lambda o, y, level=level: smooth(o, y, level), optim.Adam(lr=0.02))
        means.append(train(step, source, n))
    assert_losses(stages, means)
    assert_same(model, expected)

    model = deep()
    strategies.continuation(model, X, Y, [nn.MultiMarginLoss(), LOSS], optim.SGD(lr=0.1), **SIZES)
    expected, source = deep(), shuffled()
    for loss in (nn.MultiMarginLoss(), LOSS):
        train(rv.TrainStep(expected, loss, optim.SGD(lr=0.1)), source, 1)
    assert_same(model, expected)


@pytest.mark.parametrize("rate", [0.1, optim.schedules.Exponential(0.1, 0.9)])
def test_gradual_unfreezing(rate: Any) -> None:
    model = deep()
    rv.seed(1)
    stages = strategies.gradual_unfreeze(
        model, X, Y, LOSS, optim.SGD(lr=rate, momentum=0.9), parts=["6", "3", "1"], rate_decay=2.0,
        epochs=[1, 1, 2], **SIZES,
    )  # fmt: skip
    assert [stage.name for stage in stages] == ["6", "6, 3", "6, 3, 1"]
    start = deep()
    np.testing.assert_array_equal(model[0].weight.data, start[0].weight.data)
    assert all(p.requires_grad for p in model.parameters())

    expected, source = deep(), shuffled()
    rv.seed(1)

    def divided(k: int) -> Any:
        return (lambda step: rate(step) / 2.0**k) if callable(rate) else rate / 2.0**k

    groups = [optim.Group(expected[i], lr=divided(k)) for k, i in enumerate((6, 3, 1))]
    nn.freeze(expected)
    step = rv.TrainStep(expected, LOSS, optim.SGD(lr=rate, momentum=0.9, groups=groups))
    means = []
    for i, n in ((6, 1), (3, 1), (1, 2)):
        nn.unfreeze(expected[i])
        means.append(train(step, source, n))
    assert_losses(stages, means)
    assert_same(model, expected)


def test_snapshot_ensembles() -> None:
    model = deep()
    rv.seed(1)
    ensemble = strategies.snapshot_ensemble(
        model, X, Y, LOSS, optim.SGD(lr=0.2), cycles=2, epochs=2, output=lambda z: ops.softmax(z, 1), **SIZES
    )
    expected, source = deep(), shuffled()
    rv.seed(1)
    step = rv.TrainStep(expected, LOSS, optim.SGD(lr=optim.schedules.CosineRestarts(0.2, cycle=6)))
    outputs = []
    for member in ensemble.members:
        train(step, source, 2)
        expected.eval()
        assert_same(member, expected)
        z = expected(X).astype("float64")
        outputs.append(np.exp(z) / np.exp(z).sum(1, keepdims=True))
        expected.train()
    assert len(ensemble.members) == 2 and len(ensemble.stages[1].losses) == 2
    np.testing.assert_allclose(ensemble(X), np.mean(outputs, 0), rtol=1e-5)


def test_weight_averaging() -> None:
    model = deep()
    rv.seed(1)
    strategies.swa(model, X, Y, LOSS, optim.SGD(lr=0.2), epochs=4, start=2, swa_lr=0.1, **SIZES)
    expected, source, seen = deep().double(), shuffled(), []
    expected.float()
    rv.seed(1)
    step = rv.TrainStep(expected, LOSS, optim.SGD(lr=0.2))
    for epoch in range(4):
        if epoch == 2:
            step.hyper["lr"] = 0.1
        train(step, source, 1)
        if epoch >= 2:
            seen.append({name: np.array(p.data, "float64") for name, p in expected.named_parameters()})
    for name, parameter in expected.named_parameters():
        parameter.data = np.mean([weights[name] for weights in seen], 0)
    optim.update_bn(expected, X)
    for name, value in expected.state_dict().items():
        np.testing.assert_allclose(model.state_dict()[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


PACED = [
    ("linear", [0.25, 0.625, 1.0]),
    ("quadratic", [0.25, 0.25 + 0.75 * 0.25, 1.0]),
    ("root", [0.25, 0.25 + 0.75 * 0.5**0.5, 1.0]),
    ("step", [0.25, 0.625, 1.0]),
    (lambda t: 0.0, [0.25, 0.25, 1.0]),
]


@pytest.mark.parametrize(("pacing", "shares"), PACED)
@pytest.mark.parametrize("reverse", [False, True])
def test_a_curriculum_draws_the_easiest_first(pacing: Any, shares: list[float], reverse: bool) -> None:
    scores = RNG.permutation(40)
    source = strategies.Curriculum(
        X, Y, difficulty=scores, pacing=pacing, reverse=reverse, epochs=3, batch_size=16, seed=3, start=0.25
    )
    ranked = np.argsort(scores)[::-1] if reverse else np.argsort(scores)
    for epoch, share in enumerate([*shares, 1.0]):
        size = round(share * 40)
        assert len(source) == -(-size // 16)
        drawn = list(source)
        assert [len(x) for x, _ in drawn[:-1]] == [16] * (len(drawn) - 1)
        x, y = (np.concatenate(pieces) for pieces in zip(*drawn, strict=True))
        expected = np.sort(ranked[:size])
        found = np.array([np.flatnonzero((row == X).all(1))[0] for row in x])
        np.testing.assert_array_equal(np.sort(found), expected)
        np.testing.assert_array_equal(y, Y[found])
        if size > 10:
            assert (found != expected).any(), epoch


def test_a_curriculum_trains_and_resumes_inside_an_epoch() -> None:
    def source() -> strategies.Curriculum:
        return strategies.Curriculum(
            X, Y, difficulty=lambda x, y: np.abs(x).sum(1), epochs=3, batch_size=8, seed=5
        )

    whole = [x.tobytes() for x, _ in [*source().batches(0), *source().batches(1)]]
    first, second = source(), source()
    begun = iter(first)
    pieces = [next(begun)[0].tobytes()]
    second.load_state_dict(first.state_dict())
    pieces += [x.tobytes() for x, _ in second] + [x.tobytes() for x, _ in second]
    assert pieces == whole

    model, expected = deep(), deep()
    rv.seed(1)
    rv.train.Loop(rv.TrainStep(model, LOSS, optim.SGD(lr=0.1)), source()).run(epochs=3)
    rv.seed(1)
    train(rv.TrainStep(expected, LOSS, optim.SGD(lr=0.1)), source(), 3)
    assert_same(model.eval(), expected.eval())


def test_a_source_takes_the_place_of_examples() -> None:
    model, expected = deep(), deep()
    rv.seed(1)
    strategies.continuation(model, shuffled(), None, [LOSS], optim.SGD(lr=0.1), epochs=2)
    rv.seed(1)
    strategies.continuation(expected, X, Y, [LOSS], optim.SGD(lr=0.1), epochs=2, **SIZES)
    assert_same(model, expected)


MODEL = deep()
SGD = optim.SGD(lr=0.1)
BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: strategies.greedy_pretrain(nn.Linear(4, 3), X, Y, LOSS, SGD), TypeError, "must be a Sequential"),
    (
        lambda: strategies.greedy_pretrain(nn.Sequential(nn.Linear(4, 3)), X, Y, LOSS, SGD),
        ValueError,
        "the model has 1 layer with weights, expected 2 or more",
    ),
    (
        lambda: strategies.greedy_pretrain(MODEL, X, Y, LOSS, SGD, epochs=[1]),
        ValueError,
        "greedy_pretrain: epochs has 1 entries, expected 2",
    ),
    (lambda: strategies.distill(MODEL, 3, X, Y, LOSS, SGD), TypeError, "distill: teacher must be a Module"),
    (
        lambda: strategies.distill(MODEL, teacher(), X, Y, LOSS, SGD, temperature=0),
        ValueError,
        "distill: temperature must be above 0",
    ),
    (
        lambda: strategies.distill(MODEL, nn.Linear(4, 2), X, Y, LOSS, SGD, epochs=1),
        ValueError,
        r"teacher and student give outputs of shapes \(32, 2\) and \(32, 3\)",
    ),
    (
        lambda: strategies.fitnet(MODEL, teacher(), X, Y, LOSS, SGD, hint="9", guided="4"),
        ValueError,
        "fitnet: hint '9' is no module of Sequential; it has 0, 1, 2, 3",
    ),
    (
        lambda: strategies.AuxiliaryHeads(MODEL, {"a": nn.Linear(2, 3)}),
        ValueError,
        "AuxiliaryHeads: the path 'a' is no module",
    ),
    (
        lambda: strategies.AuxiliaryHeads(MODEL, {"1": nn.Linear(6, 3)}, {"2": 1.0}),
        ValueError,
        r"weights for \['2'\], which have no head",
    ),
    (lambda: strategies.continuation(MODEL, X, Y, [], SGD), ValueError, "losses must have at least one"),
    (lambda: strategies.continuation(MODEL, X, Y, [1.0], SGD), TypeError, "levels need loss"),
    (
        lambda: strategies.continuation(MODEL, X, Y[:3], [LOSS], SGD),
        ValueError,
        r"x has shape \(40, 4\) and y \(3,\)",
    ),
    (
        lambda: strategies.gradual_unfreeze(MODEL, X, Y, LOSS, optim.SGD(lr=0.1, groups=optim.Group("*"))),
        ValueError,
        "the optimizer must have none",
    ),
    (
        lambda: strategies.gradual_unfreeze(MODEL, X, Y, LOSS, SGD, parts=["2"]),
        ValueError,
        "the part '2' has no parameters",
    ),
    (
        lambda: strategies.snapshot_ensemble(MODEL, X, Y, LOSS, optim.SGD(lr=optim.schedules.Cosine(0.1, 9))),
        ValueError,
        "lr must be a number",
    ),
    (lambda: strategies.Ensemble([]), ValueError, "Ensemble: there must be at least one member"),
    (
        lambda: strategies.swa(MODEL, X, Y, LOSS, SGD, epochs=3, start=3),
        ValueError,
        "start must be below epochs",
    ),
    (
        lambda: strategies.swa(MODEL, X, Y, LOSS, optim.SGD(lr=0.1, average=optim.EMA())),
        ValueError,
        "must keep no average of its own",
    ),
    (
        lambda: strategies.Curriculum(X, Y, difficulty=np.ones(3)),
        ValueError,
        r"difficulty of dtype float64 and shape \(3,\), expected one number for each of 40 examples",
    ),
    (
        lambda: strategies.Curriculum(X, Y, difficulty=np.full(40, np.nan)),
        ValueError,
        "and no NaN",
    ),
    (
        lambda: strategies.Curriculum(X, Y, difficulty=Y, pacing="fast"),
        ValueError,
        "pacing must be linear, root, quadratic, step or a function, got 'fast'",
    ),
    (lambda: strategies.Curriculum(X, Y, difficulty=Y, start=0), ValueError, "start must be above 0"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_arguments_train_nothing(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    before = MODEL.state_dict()
    with pytest.raises(error, match=message):
        call()
    for name, value in MODEL.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    assert all(p.requires_grad for p in MODEL.parameters())
