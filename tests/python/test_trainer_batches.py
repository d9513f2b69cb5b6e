"""What `Trainer.fit` does with short batches, frozen parts, its attributes, and answers of yes or no."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import nn, ops, optim


class Sizes(rv.train.Callback):
    """Counts the updates and remembers the modes of the model's parts."""

    def __init__(self) -> None:
        self.updates = 0
        self.modes: set[tuple[bool, ...]] = set()

    def on_batch_end(self, trainer: rv.Trainer, batch: int, loss: float) -> None:
        self.updates += 1
        self.modes.add(tuple(module.training for module in trainer.model.modules()))


class BareBatchNorm(nn.Module):
    """Normalises over the batch without a layer that shows it."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        return self.head(ops.batch_norm(x, training=True))


def normalised(frozen: bool = False) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))
    if frozen:
        model[1].eval()
    return model


def images() -> nn.Sequential:
    """Its BatchNorm has several pixels of each channel, even of one example."""
    return nn.Sequential(nn.Unflatten(1, (1, 2, 2)), nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(4, 3))


def examples(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(6)
    return rng.standard_normal((n, 4)).astype(np.float32), rng.integers(0, 3, n)


@pytest.mark.parametrize(
    ("build", "n", "batch_size", "options", "updates"),
    [
        (normalised, 65, 32, {}, 2),  # 32, 33
        (normalised, 66, 32, {}, 3),  # two examples are enough
        (normalised, 64, 32, {}, 2),
        (normalised, 33, 32, {}, 1),
        (normalised, 65, 32, {"drop_last": True}, 2),
        (normalised, 3, 2, {"shuffle": False}, 1),
        (BareBatchNorm, 9, 4, {}, 2),
        (lambda: normalised(frozen=True), 65, 32, {}, 3),  # uses the running statistics
        (images, 65, 32, {}, 3),
        (lambda: nn.Linear(4, 3), 65, 32, {}, 3),
    ],
)
@pytest.mark.parametrize("metrics", [[], ["accuracy"]])
def test_a_last_example_joins_the_batch_before_if_the_model_needs_it(
    build: Any, n: int, batch_size: int, options: dict[str, Any], updates: int, metrics: list[str]
) -> None:
    sizes = Sizes()
    trainer = rv.Trainer(build(), nn.CrossEntropyLoss(), optim.SGD(0.01), metrics)
    history = trainer.fit(
        *examples(n), epochs=2, batch_size=batch_size, callbacks=[sizes], verbose=0, **options
    )
    assert sizes.updates == 2 * updates
    assert np.isfinite(history["loss"]).all()


def test_a_joined_batch_holds_every_example_once() -> None:
    batches = rv.data.Batches(np.arange(9), batch_size=4, shuffle=True)
    batches.min_last = 2
    pieces = [piece for (piece,) in batches]
    assert [len(piece) for piece in pieces] == [4, 5] and len(batches) == 2
    assert sorted(np.concatenate(pieces)) == list(range(9))
    batches = rv.data.Batches(np.arange(3), batch_size=4)
    batches.min_last = 4  # there is none before it
    assert [piece.tolist() for (piece,) in batches] == [[0, 1, 2]]


@pytest.mark.parametrize(("n", "batch_size"), [(5, 1), (1, 4)])
def test_single_examples_are_refused_before_anything_changes(n: int, batch_size: int) -> None:
    trainer = rv.Trainer(normalised(), nn.CrossEntropyLoss(), optim.Adam(0.1))
    before = trainer.model.state_dict()
    with pytest.raises(ValueError, match="more than one value per channel"):
        trainer.fit(*examples(n), batch_size=batch_size, verbose=0)
    for key, value in trainer.model.state_dict().items():
        np.testing.assert_array_equal(value, before[key])


def test_a_step_refuses_a_single_example_and_goes_on() -> None:
    step, reference = (rv.TrainStep(normalised(), nn.CrossEntropyLoss(), optim.Adam(0.1)) for _ in range(2))
    reference.model.load_state_dict(step.model.state_dict())
    x, y = examples(8)
    assert step(x, y) == reference(x, y)
    with pytest.raises(ValueError, match="more than one value per channel"):
        step(x[:1], y[:1])
    assert step(x, y) == reference(x, y) and step.steps == 2
    for key, value in reference.model.state_dict().items():
        np.testing.assert_array_equal(step.model.state_dict()[key], value)


def test_parts_in_evaluation_mode_stay_in_it() -> None:
    trainer = rv.Trainer(normalised(frozen=True), nn.CrossEntropyLoss(), optim.SGD(0.1))
    before = trainer.model.state_dict()
    x, y = examples(20)
    for epochs in (2, 4):  # the second begins with all parts in evaluation mode
        modes = Sizes()
        trainer.fit(x, y, epochs=epochs, validation_data=(x, y), callbacks=[modes], verbose=0)
        assert modes.modes == {(True, True, False, True, True)}
    after = trainer.model.state_dict()
    for key in ("1.running_mean", "1.running_var", "1.num_batches_tracked"):
        np.testing.assert_array_equal(after[key], before[key])
    assert not np.array_equal(after["1.weight"], before["1.weight"])
    trainer.model.train()
    trainer.fit(x, y, epochs=5, verbose=0)
    assert trainer.model.state_dict()["1.num_batches_tracked"] == 1


def test_train_asks_parts_that_decide_for_themselves() -> None:
    class Frozen(nn.Sequential):
        def train(self, mode: bool = True) -> Any:
            return super().train(False)

    model = nn.Sequential(nn.ModuleList([Frozen(nn.BatchNorm1d(2)), nn.Dropout()]), nn.Linear(2, 2))
    for mode in (True, False, True):
        model.train(mode)
        assert [m.training for m in model.modules()] == [mode, mode, False, False, mode, mode]


@pytest.mark.parametrize("name", ["model", "loss", "optimizer"])
def test_what_the_state_belongs_to_cannot_be_replaced(name: str) -> None:
    model, loss, optimizer = nn.Linear(4, 3), nn.CrossEntropyLoss(), optim.SGD(0.1)
    trainer = rv.Trainer(model, loss, optimizer)
    with pytest.raises(AttributeError, match=f"Trainer.{name} cannot be replaced"):
        setattr(trainer, name, {"model": nn.Linear(4, 3), "optimizer": optim.SGD(0.0)}.get(name, loss))
    with pytest.raises(AttributeError):
        setattr(rv.TrainStep(model, loss, optimizer), name, None)
    assert (trainer.model, trainer.loss, trainer.optimizer) == (model, loss, optimizer)
    optimizer.lr = 0.0  # and what is changed in place counts
    before = trainer.model.state_dict()
    assert trainer.fit(*examples(6), verbose=0)["lr"] == [0.0]
    np.testing.assert_array_equal(trainer.model.state_dict()["weight"], before["weight"])


class Answers(nn.Module):
    """Gives its inputs as answers."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(np.ones((), np.float32))

    def forward(self, x: Any) -> Any:
        return x * self.scale


PROBABILITIES = np.array([0.9, 0.7, 0.4, 0.2], np.float32)  # the first and the last are right
TARGETS = np.array([1, 0, 1, 0], np.float32)
LOGITS = np.log(PROBABILITIES / (1 - PROBABILITIES))


@pytest.mark.parametrize("shape", [(4,), (4, 1), (2, 2), (2, 1, 2)])
@pytest.mark.parametrize("metrics", [["accuracy"], [rv.train.accuracy], {"accuracy": rv.train.accuracy}])
@pytest.mark.parametrize(
    ("loss", "outputs"),
    [
        (nn.BCELoss(), PROBABILITIES),
        (ops.binary_cross_entropy, PROBABILITIES),
        (nn.BCEWithLogitsLoss(), LOGITS),
        (ops.binary_cross_entropy_with_logits, LOGITS),
    ],
)
def test_answers_of_yes_or_no(shape: tuple[int, ...], metrics: Any, loss: Any, outputs: np.ndarray) -> None:
    trainer = rv.Trainer(Answers(), loss, optim.SGD(0.0), metrics)
    x, y = outputs.reshape(shape), TARGETS.reshape(shape)
    assert trainer.evaluate(x, y)["accuracy"] == 0.5
    assert trainer.fit(x, y, batch_size=4, verbose=0)["accuracy"] == [0.5]
    wrong = np.full(shape, 0.3, np.float32) if outputs is PROBABILITIES else np.full(shape, -0.3, np.float32)
    assert trainer.evaluate(wrong, np.ones(shape, np.float32))["accuracy"] == 0.0


def test_binary_accuracy_says_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"output \(3,\) and target \(4,\)"):
        rv.train.binary_accuracy(np.zeros(3), np.zeros(4))
