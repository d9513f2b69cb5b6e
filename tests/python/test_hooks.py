"""Hooks of modules: what they see, in compiled and eager programs, and that they cost one compilation."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import nn, ops, optim

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((6, 4)), RNG.standard_normal((6, 2))


class Residual(nn.Module):
    """Calls a part twice, and uses its input elsewhere too."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.head = nn.Sequential(nn.Tanh(), nn.Linear(4, 2))

    def forward(self, x: Any) -> Any:
        x = x + self.inner(x) * 2.0
        return self.head(self.inner(x))


def model() -> Residual:
    rv.seed(0)
    return Residual().double()


def run(kind: str, net: nn.Module) -> Any:
    """One forward and backward pass; the kinds compute the same values."""
    if kind == "step":
        return rv.TrainStep(net, nn.MSELoss(), optim.SGD(lr=0.0))(X, Y)
    if kind == "eager step":
        with rv.eager():
            return rv.TrainStep(net, nn.MSELoss(), optim.SGD(lr=0.0))(X, Y)
    if kind == "sam":
        return rv.TrainStep(net, nn.MSELoss(), optim.SAM(optim.SGD(lr=0.0)))(X, Y)
    return rv.value_and_grad(lambda m, x, y: nn.MSELoss()(m(x), y), net)(X, Y)[0]


@pytest.mark.parametrize("kind", ["step", "eager step", "sam", "value_and_grad"])
def test_hooks_see_what_torchs_hooks_see(kind: str) -> None:
    torch = pytest.importorskip("torch")

    class Theirs(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = torch.nn.Linear(4, 4)
            self.head = torch.nn.Sequential(torch.nn.Tanh(), torch.nn.Linear(4, 2))

        forward = Residual.forward

    ours, theirs = model(), Theirs().double()
    theirs.load_state_dict({name: torch.tensor(value) for name, value in ours.state_dict().items()})

    def arrays(values: Any) -> list[Any]:
        values = values if isinstance(values, tuple) else (values,)
        return [None if v is None else v.detach().numpy() if hasattr(v, "detach") else v for v in values]

    def observe(net: Any, seen: list[Any]) -> None:
        for path, module in net.named_modules():
            module.register_forward_hook(
                lambda _, inputs, output, path=path: seen.append(
                    ("forward", path, arrays(inputs), arrays(output))
                )
            )
            module.register_full_backward_hook(
                lambda _, inputs, outputs, path=path: seen.append(
                    ("backward", path, arrays(inputs), arrays(outputs))
                )
            )

    seen: list[Any] = []
    expected: list[Any] = []
    observe(ours, seen)
    observe(theirs, expected)
    loss = run(kind, ours)
    x = torch.tensor(X, requires_grad=True)
    torch.nn.functional.mse_loss(theirs(x), torch.tensor(Y)).backward()
    assert np.isfinite(loss)
    assert [one[:2] for one in seen if one[0] == "forward"] == [
        one[:2] for one in expected if one[0] == "forward"
    ]
    # torch calls backward hooks in the order of the gradients; ours come from the last call to the first.
    key = lambda one: (one[0], one[1], float(np.sum(one[3][0])))  # noqa: E731
    assert len(seen) == len(expected) == 12
    for one, other in zip(sorted(seen, key=key), sorted(expected, key=key), strict=True):
        assert one[:2] == other[:2]
        for mine, their in zip(one[2] + one[3], other[2] + other[3], strict=True):
            np.testing.assert_allclose(mine, their, rtol=1e-9, atol=1e-12, err_msg=str(one[:2]))


def test_paths_order_and_inputs_that_have_no_gradient() -> None:
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(5, 3)

        def forward(self, i: Any, x: Any, scale: float) -> Any:
            return self.table(i) * x * scale, x.sum()

    net, seen = nn.ModuleDict({"pair": Pair()}), []
    pair = net["pair"]
    pair.register_forward_hook(lambda m, i, o: seen.append((type(m).__name__, len(i), len(o))))
    pair.register_full_backward_hook(
        lambda m, i, o, path: seen.append((path, [g is None or g.shape for g in i], [g.shape for g in o])),
        with_path=True,
    )

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, i: Any, x: Any) -> Any:
            return self.net["pair"](i, x, 2.0)[0]

    step = rv.TrainStep(Whole(), lambda out, y: ops.mean(out), optim.SGD(lr=0.1))
    step((np.array([1, 2]), np.ones((2, 3))), np.zeros(1))
    assert seen == [("Pair", 3, 2), ("net.pair", [True, (2, 3), True], [(2, 3), ()])]


def test_changes_of_hooks_compile_once_and_predictions_stay() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    x = X.astype("float32")
    step = rv.TrainStep(net, nn.MSELoss(), optim.SGD(lr=0.1))
    step(x, Y)
    net(x)
    expected, seen = net(x), []
    handle = net[1].register_forward_hook(lambda module, inputs, output: seen.append(output))
    for i in range(3):
        np.testing.assert_array_equal(net(x), expected)
        assert len(seen) == i + 1
    relu = np.maximum(x @ net[0].weight.data.T + net[0].bias.data, 0)
    np.testing.assert_allclose(seen[0], relu, rtol=0, atol=1e-6)
    assert len(net.programs()) == 2
    step(x, Y)
    step(x, Y)
    assert len(seen) == 5 and len(step.programs()) == 2
    handle.remove()
    handle.remove()
    step(x, Y)
    net(x)
    assert len(seen) == 5 and (len(net.programs()), len(step.programs())) == (
        2,
        2,
    )  # the first ones serve again
    with net.register_forward_hook(lambda module, inputs, output: seen.append(inputs)):
        net(x[:3])
    net(x[:3])
    assert len(seen) == 6 and seen[-1][0].shape == (3, 4)


def test_training_with_hooks_gives_the_same_bits() -> None:
    def train(hooks: bool) -> dict[str, np.ndarray]:
        rv.seed(0)
        net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Tanh(), nn.Linear(8, 2))
        if hooks:
            net[3].register_forward_hook(lambda *_: None)
        step = rv.TrainStep(net, nn.MSELoss(), optim.Adam(lr=0.1))
        for _ in range(5):
            step(X, Y)
        return net.state_dict()

    expected = train(False)
    for name, value in train(True).items():
        np.testing.assert_array_equal(value, expected[name])


def test_a_loss_that_is_not_finite_is_seen_and_a_hook_may_raise() -> None:
    net, seen = nn.Linear(4, 2), []
    step = rv.TrainStep(net, nn.MSELoss(), optim.SGD(lr=0.1))
    net.register_forward_hook(lambda module, inputs, output: seen.append(np.isnan(output).all()))
    step(np.full((2, 4), np.nan), np.zeros((2, 2)))
    assert seen == [True] and step.skipped == 1

    def complain(*_: Any) -> None:
        raise RuntimeError("enough")

    net.register_forward_hook(complain)
    with pytest.raises(RuntimeError, match="enough"):
        step(X, Y)
    assert step.steps == 1


def test_hooks_are_no_part_of_copies_and_hold_no_module() -> None:
    net = nn.Linear(4, 2)
    handle = net.register_forward_hook(lambda *_: None)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert not other._hooks
    net(np.zeros((1, 4)))
    alive = weakref.ref(net)
    del net
    gc.collect()
    assert alive() is None
    handle.remove()


BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: nn.ReLU().register_forward_hook(3), TypeError, "register_forward_hook: a function is expected"),
    (
        lambda: nn.ReLU().register_full_backward_hook(print, with_path=1),
        TypeError,
        "register_full_backward_hook: with_path must be True or False",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_arguments(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_a_hook_that_returns_something_is_told_so() -> None:
    net = nn.ReLU()
    net.register_forward_hook(lambda module, inputs, output: output * 2)  # type: ignore[arg-type, return-value]
    with pytest.raises(
        TypeError, match="register_forward_hook: a hook looks at values and returns None, got ndarr"
    ):
        net(np.ones(3))
