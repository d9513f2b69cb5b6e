"""Ensemble: n members of one architecture, and what they predict together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _core, nn, ops
from .._nesting import as_arrays, common_length, shapes_of, take
from .._numbers import whole
from .._random import own_generator
from ..record import Operand, own_modes

__all__ = ["Ensemble", "Predictions", "piece"]


@dataclass(frozen=True)
class Predictions:
    """What the members of an ensemble predict, and what they agree on.

    Attributes:
        members: the prediction of each, [n, N, ...].

    Example:
        >>> import numpy as np
        >>> from ravine.ensemble import Predictions
        >>> found = Predictions(np.array([[1.0, 2.0], [3.0, 2.0]]))
        >>> found.mean, found.spread
        (array([2., 2.]), array([1., 0.]))
    """

    members: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """The mean over the members, [N, ...]: the prediction of the ensemble."""
        return self.members.mean(axis=0)

    @property
    def spread(self) -> np.ndarray:
        """The standard deviation over the members, [N, ...]: large where the data did not tell."""
        return self.members.std(axis=0)


class Ensemble(nn.Module):
    """n nets of one architecture: a `TrainStep` over it trains all of them in one program.

    The members are ordinary modules with parameters of their own. Each is made with a seed of its own, so
    that member i is what `make_model` gives after `rv.seed(seeds[i])`, and may leave at any time:
    `ensemble.members[i]` is a model as any other.

    Called on x, the ensemble gives the members' outputs stacked, [n, N, ...]; with `each=True` every member
    has inputs of its own: x is [n, N, ...], or a list of n arrays. `predict` gives their mean and spread.

    Args:
        make_model: a function without arguments that returns a new module.
        n: how many members.
        seeds: of the members' initial weights, n numbers; by default they are drawn from the process
            generator (`rv.seed`).

    Attributes:
        members: the modules.
        seeds: the seeds.

    Raises:
        TypeError: `make_model` is no function, or returns no module.
        ValueError: n below 1, another number of seeds, members of different architecture, or `make_model`
            returns a module that it has returned before.

    Source: Lakshminarayanan et al. 2017, https://arxiv.org/abs/1612.01474.

    Example:
        >>> import numpy as np, ravine as rv
        >>> from ravine import nn, optim
        >>> rv.seed(0)
        >>> ensemble = rv.Ensemble(lambda: nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1)), 4)
        >>> step = rv.TrainStep(ensemble, nn.MSELoss(), optim.Adam(lr=0.02))
        >>> x = np.linspace(-1, 1, 32)[:, None]
        >>> losses = [step(x, x**2) for _ in range(200)]
        >>> losses[-1].shape, bool((losses[-1] < 0.02).all())
        ((4,), True)
        >>> found = ensemble.predict([[0.0], [4.0]])  # 4 is far from what was seen
        >>> bool(found.spread[1, 0] > 5 * found.spread[0, 0])
        True
    """

    def __init__(
        self, make_model: Callable[[], nn.Module], n: int, *, seeds: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        if not callable(make_model) or isinstance(make_model, nn.Module):
            raise TypeError(
                "Ensemble: make_model must be a function that returns a new module, such as "
                f"lambda: rv.models.mlp(64, 10), got {type(make_model).__name__}"
            )
        n = whole("Ensemble", "n", n)
        own = [_core.draw_seed() for _ in range(n)] if seeds is None else [int(seed) for seed in seeds]
        if len(own) != n:
            raise ValueError(f"Ensemble: got {len(own)} seeds for {n} members")
        members: list[nn.Module] = []
        for seed in own:
            with own_generator(seed):
                member = make_model()
            if not isinstance(member, nn.Module):
                raise TypeError(f"Ensemble: make_model must return a Module, got {type(member).__name__}")
            if any(member is other for other in members):
                raise ValueError("Ensemble: make_model returned one module twice; it must make a new one")
            if members:
                _check_alike(members[0], member, len(members))
            members.append(member)
        self.seeds = tuple(own)
        self.members = nn.ModuleList(members)

    def __len__(self) -> int:
        return len(self.members)

    def member(self, i: int) -> nn.Module:
        """Member number i: the module itself, which shares its parameters with the ensemble."""
        return self.members[i]

    def forward(self, *args: Any, each: bool = False) -> Any:
        """The members' outputs, stacked along a new first axis."""
        outputs = []
        for i, member in enumerate(self.members):
            outputs.append(member(*(piece(args, i, len(self), "Ensemble") if each else args)))
        return _stacked(outputs)

    def predict(
        self, x: Any, *, batch_size: int = 256, transform: Callable[[Any], Any] | None = None
    ) -> Predictions:
        """What the members predict for examples x [N, ...], in evaluation mode.

        Args:
            x: examples, an array, or arrays in nested tuples and dicts.
            batch_size: examples at a time.
            transform: of the members' outputs before their mean and spread are taken, such as `ops.softmax`
                for classifiers: the mean of probabilities is one, that of logits is not.

        Raises:
            TypeError: for members with several outputs; call the ensemble itself.
            ValueError: no examples, or a shape that the members refuse.

        Example:
            >>> import numpy as np, ravine as rv
            >>> from ravine import nn, ops
            >>> ensemble = rv.Ensemble(lambda: nn.Linear(4, 3), 5)
            >>> found = ensemble.predict(np.ones((7, 4)), transform=lambda z: ops.softmax(z, -1))
            >>> found.members.shape, found.mean.shape, np.allclose(found.mean.sum(-1), 1)
            ((5, 7, 3), (7, 3), True)
        """
        x = as_arrays(x, "Ensemble.predict: x")
        n = common_length(x)
        if not n:
            raise ValueError(
                f"Ensemble.predict: x has shape {shapes_of(x)}, expected at least one example [N, ...]"
            )
        size = whole("Ensemble.predict", "batch_size", batch_size)
        outputs = []
        with own_modes():
            self.eval()
            for begin in range(0, n, size):
                part = take(x, slice(begin, begin + size))
                output = self(*part) if isinstance(part, tuple) else self(part)
                if not isinstance(output, np.ndarray):
                    raise TypeError(
                        "Ensemble.predict: the members return several outputs; call the ensemble itself"
                    )
                outputs.append(output if transform is None else np.asarray(transform(output)))
        return Predictions(np.concatenate(outputs, axis=1))

    def stacked_state(self) -> dict[str, np.ndarray]:
        """Parameters and buffers of all members: copies [n, ...] under the names of one member.

        Example:
            >>> import ravine as rv
            >>> from ravine import nn
            >>> {name: x.shape for name, x in rv.Ensemble(lambda: nn.Linear(3, 2), 5).stacked_state().items()}
            {'weight': (5, 2, 3), 'bias': (5, 2)}
        """
        states = [member.state_dict() for member in self.members]
        return {name: np.stack([state[name] for state in states]) for name in states[0]}

    def load_stacked_state(self, state: Mapping[str, Any]) -> None:
        """Takes what `stacked_state` returned.

        Raises ValueError for names and shapes that do not fit; nothing has changed then.
        """
        n, prefix = len(self), "members"
        arrays = {name: np.asarray(value) for name, value in state.items()}
        wrong = {name: x.shape for name, x in arrays.items() if x.ndim == 0 or len(x) != n}
        if wrong:
            raise ValueError(f"load_stacked_state: expected arrays [{n}, ...], got shapes {wrong}")
        self.load_state_dict({f"{prefix}.{i}.{name}": x[i] for name, x in arrays.items() for i in range(n)})

    def extra_repr(self) -> str:
        return f"n={len(self)}"


def piece(given: Any, i: int, n: int, what: str) -> Any:
    """The part of member i: of tensors and arrays [n, ...] and lists of n, in nested tuples and dicts.

    Raises ValueError for what has no part for each member.
    """
    if isinstance(given, tuple):
        return tuple([piece(item, i, n, what) for item in given])
    if isinstance(given, dict):
        return {key: piece(item, i, n, what) for key, item in given.items()}
    if isinstance(given, list):
        if len(given) != n:
            raise ValueError(f"{what}: each=True needs one item for each of {n} members, got {len(given)}")
        return given[i]
    if isinstance(given, Operand | np.ndarray):
        if not given.ndim or given.shape[0] != n:
            raise ValueError(
                f"{what}: each=True needs arrays [{n}, ...], one piece for each member, got shape "
                f"{given.shape}"
            )
        return given[i]
    return given


def _stacked(outputs: Sequence[Any]) -> Any:
    """Outputs of the members as one, in the nesting that they have."""
    first = outputs[0]
    if first is None:
        return None
    if isinstance(first, dict):
        return {key: _stacked([output[key] for output in outputs]) for key in first}
    if isinstance(first, tuple | list):
        parts = [_stacked([output[k] for output in outputs]) for k in range(len(first))]
        return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
    return ops.stack(list(outputs))


def _check_alike(first: nn.Module, other: nn.Module, i: int) -> None:
    """Raises ValueError where a member is built in another way than the first."""
    for one, two in zip(_architecture(first), _architecture(other), strict=False):
        if one != two:
            raise ValueError(f"Ensemble: member {i} has {two}, but member 0 has {one}; they must be alike")
    n, m = len(_architecture(first)), len(_architecture(other))
    if n != m:
        raise ValueError(
            f"Ensemble: member {i} has {m} modules, parameters and buffers, but member 0 has {n}; they must "
            "be alike"
        )


def _architecture(model: nn.Module) -> list[str]:
    """What a model is built of, as text: its modules, its parameters and its buffers."""
    parts = [f"{type(module).__name__} {path!r}" for path, module in model.named_modules()]
    states = [*model.named_parameters(), *model.named_buffers()]
    return parts + [f"{name!r} of shape {state.shape} and dtype {state.dtype}" for name, state in states]
