"""Students that learn from a trained model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ... import nn, ops
from ..._numbers import number, positive, whole
from ..._step import TrainStep
from ...data import Source
from ...optim import Optimizer
from ._stage import Stage, as_teacher, batches, check_model, run_stage, training
from ._taps import check_path, outputs_at


def _called(model: nn.Module, x: Any) -> Any:
    return model(*x) if isinstance(x, tuple) else model(x)


def _distillation(
    teacher: nn.Module, loss: Callable[[Any, Any], Any], temperature: float, alpha: float
) -> Callable[..., Any]:
    """Of a student, inputs and targets: the loss with the teacher's answers in it."""

    def total(student: Any, x: Any, y: Any) -> Any:
        output = _called(student, x)
        if alpha == 0:
            return loss(output, y)
        goal = ops.stop_gradient(_called(teacher, x))
        if goal.shape != output.shape:
            raise ValueError(f"teacher and student give outputs of shapes {goal.shape} and {output.shape}")
        log_student = ops.log_softmax(output / temperature, dim=1)
        soft = -(ops.softmax(goal / temperature, dim=1) * log_student)
        soft = ops.mean(ops.sum(soft, 1)) * (alpha * temperature**2)
        return soft if alpha == 1 else loss(output, y) * (1 - alpha) + soft

    return total


def distill(
    student: nn.Module,
    teacher: nn.Module,
    x: Any,
    y: Any,
    loss: Callable[[Any, Any], Any],
    optimizer: Optimizer,
    *,
    temperature: float = 4.0,
    alpha: float = 0.5,
    epochs: int = 1,
    batch_size: int = 32,
    seed: int | None = None,
) -> Stage:
    """Trains a student on the softened answers of a teacher, beside the targets.

    The loss is `(1 - α) · loss(s, y) + α · T² · H(softmax(t / T), softmax(s / T))` with the logits s of the
    student, t of the teacher, and the cross-entropy H.

    Args:
        student: trained in place.
        teacher: a trained model with as many logits [n, classes]; it predicts in evaluation mode and is not
            changed.
        x, y: examples and targets, or a source of batches and None; y may be None too where alpha is 1.
        loss: of the student's outputs and the targets.
        optimizer: the student's.
        temperature: T above 0; the larger, the more the teacher's small probabilities count.
        alpha: share of the teacher, in [0, 1].
        epochs, batch_size: of the training.
        seed: of the order of the examples; None draws one.

    Returns:
        The losses by epoch.

    Raises TypeError and ValueError for other arguments.

    Source: Hinton et al. 2015, https://arxiv.org/abs/1503.02531.

    Example:
        >>> import numpy as np, ravine as rv
        >>> from ravine import nn, optim
        >>> rv.seed(0)
        >>> teacher, student = nn.Linear(4, 3), nn.Linear(4, 3)
        >>> x = np.random.default_rng(0).standard_normal((128, 4))
        >>> stage = rv.train.strategies.distill(
        ...     student, teacher, x, None, nn.CrossEntropyLoss(), optim.Adam(lr=0.05), alpha=1.0, epochs=20
        ... )
        >>> bool((student(x).argmax(1) == teacher(x).argmax(1)).mean() > 0.95)
        True
    """
    check_model("distill", "student", student)
    check_model("distill", "teacher", teacher)
    temperature = positive("distill", "temperature", temperature)
    alpha = number("distill", "alpha", alpha, high=1.0)
    if y is None and alpha == 1 and not isinstance(x, Source):
        y = np.zeros(len(x[0]) if isinstance(x, tuple) else len(x), np.int64)  # nobody looks at them
    source = batches("distill", x, y, batch_size, seed)
    with as_teacher(teacher), training(student):
        step = TrainStep(_distillation(teacher, loss, temperature, alpha), student, optimizer)
        return run_stage("student", step, source, epochs)


class _Hinted(nn.Module):
    """A student and the map from its middle layer to the teacher's."""

    def __init__(self, student: nn.Module, regressor: nn.Module) -> None:
        super().__init__()
        self.student, self.regressor = student, regressor


class _Shapes(nn.Module):
    """The outputs of a module inside of a model."""

    def __init__(self, model: nn.Module, path: str) -> None:
        super().__init__()
        self.model, self.path = model, path

    def forward(self, *x: Any) -> Any:
        return outputs_at(self.model, x, [self.path], whole=False)[1][self.path]


def _regressor(guided: tuple[int, ...], hint: tuple[int, ...]) -> nn.Module:
    """The smallest map from one shape to the other: nothing, a linear map, a 1x1 convolution."""
    if guided[1:] == hint[1:]:
        return nn.Identity()
    if len(guided) == len(hint) == 4 and guided[2:] == hint[2:]:
        return nn.Conv2d(guided[1], hint[1], 1)
    if guided[1:-1] == hint[1:-1]:
        return nn.Linear(guided[-1], hint[-1])
    raise ValueError(
        f"fitnet: the student's layer gives {guided[1:]} and the teacher's {hint[1:]} for an example; give a "
        f"regressor from the one to the other"
    )


def fitnet(
    student: nn.Module,
    teacher: nn.Module,
    x: Any,
    y: Any,
    loss: Callable[[Any, Any], Any],
    optimizer: Optimizer,
    *,
    hint: str,
    guided: str,
    regressor: nn.Module | None = None,
    hint_epochs: int = 1,
    epochs: int = 1,
    temperature: float = 4.0,
    alpha: float = 0.5,
    batch_size: int = 32,
    seed: int | None = None,
) -> list[Stage]:
    """Trains a thin deep student with hints from a teacher's middle layer, then by distillation.

    First the student up to its layer `guided` learns, through a regressor, to give what the teacher's layer
    `hint` gives (mean squared error); then the whole student learns as in `distill`.

    Args:
        student: trained in place.
        teacher: a trained model; it predicts in evaluation mode and is not changed.
        x, y: examples and targets, or a source of batches and None.
        loss: of the student's outputs and the targets.
        optimizer: how; both stages have states of their own.
        hint, guided: paths of modules of the teacher and of the student.
        regressor: from the student's layer to the teacher's; by default a linear map or 1x1 convolution where
            the shapes differ.
        hint_epochs, epochs: of the two stages.
        temperature, alpha: of the second, see `distill`; alpha=0 trains on the targets alone.
        batch_size: of the training.
        seed: of the order of the examples; None draws one.

    Returns:
        Both stages with the losses of their epochs.

    Raises TypeError and ValueError for other arguments, before anything is trained.

    Source: Romero et al. 2015, https://arxiv.org/abs/1412.6550.

    Example:
        >>> import numpy as np, ravine as rv
        >>> from ravine import nn, optim
        >>> rv.seed(0)
        >>> teacher = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 3))
        >>> student = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 3))
        >>> x = np.random.default_rng(0).standard_normal((128, 4)); y = teacher(x).argmax(1)
        >>> stages = rv.train.strategies.fitnet(
        ...     student, teacher, x, y, nn.CrossEntropyLoss(), optim.Adam(lr=0.02),
        ...     hint="1", guided="3", hint_epochs=10, epochs=10,
        ... )
        >>> [stage.name for stage in stages], stages[0].losses[-1] < stages[0].losses[0]
        (['hint', 'student'], True)
    """
    check_model("fitnet", "student", student)
    check_model("fitnet", "teacher", teacher)
    check_path("fitnet", "hint", teacher, hint)
    check_path("fitnet", "guided", student, guided)
    temperature = positive("fitnet", "temperature", temperature)
    alpha = number("fitnet", "alpha", alpha, high=1.0)
    hint_epochs, epochs = whole("fitnet", "hint_epochs", hint_epochs, 0), whole("fitnet", "epochs", epochs, 0)
    source = batches("fitnet", x, y, batch_size, seed)
    with as_teacher(teacher), training(student):
        if regressor is None:
            with as_teacher(student):
                examples = next(iter(source.batches(0)))[0]
                given = examples if isinstance(examples, tuple) else (examples,)
                shapes = [_Shapes(m, p)(*given).shape for m, p in ((student, guided), (teacher, hint))]
            regressor = _regressor(shapes[0], shapes[1])
        check_model("fitnet", "regressor", regressor)
        hinted = _Hinted(student, regressor)

        def distance(hinted: Any, x: Any, y: Any) -> Any:
            goal = outputs_at(teacher, x, [hint], whole=False)[1][hint]
            own = outputs_at(hinted.student, x, [guided], whole=False)[1][guided]
            return ops.mse_loss(hinted.regressor(own), ops.stop_gradient(goal))

        first = run_stage("hint", TrainStep(distance, hinted, optimizer), source, hint_epochs)
        step = TrainStep(_distillation(teacher, loss, temperature, alpha), student, optimizer)
        return [first, run_stage("student", step, source, epochs)]
