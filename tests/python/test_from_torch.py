"""What PyTorch users type first: it works if it can mean only one thing, else one line shows our way."""

from __future__ import annotations

import copy
import pickle
import re

import numpy as np
import pytest

import ravine as rv
import ravine.nn.functional as F
from ravine import _from_torch, nn, optim

WRAPPERS = {"SAM": lambda inner: optim.SAM(inner), "Lookahead": lambda inner: optim.Lookahead(inner)}
RULES = [
    name
    for name in optim.__all__
    if isinstance(kind := getattr(optim, name), type)
    and issubclass(kind, optim.Optimizer)
    and kind is not optim.Optimizer
]


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("kind", ["generator", "list", "groups"])
def test_an_optimizer_that_is_given_parameters_shows_our_way(name: str, kind: str) -> None:
    model = nn.Linear(2, 1)
    parameters = {
        "generator": model.parameters,
        "list": lambda: list(model.parameters()),
        "groups": lambda: [{"params": list(model.parameters()), "lr": 0.1}],
    }[kind]
    for arguments in ((parameters(),), (parameters(), 0.1)):
        with pytest.raises(TypeError, match=rf"^{name}: parameters are not given to an optimizer.*TrainStep"):
            getattr(optim, name)(*arguments)
    if name not in WRAPPERS:
        with pytest.raises(TypeError, match="parameters are not given to an optimizer"):
            getattr(optim, name)(parameters(), lr=1e-3)
        with pytest.raises(TypeError, match="parameters are not given to an optimizer"):
            getattr(optim, name)(params=parameters(), lr=1e-3)


@pytest.mark.parametrize("name", sorted(_from_torch.OPTIMIZER))
def test_what_torchs_optimizers_have(name: str) -> None:
    for optimizer in (optim.Adam(), optim.SAM(optim.SGD(lr=0.1)), optim.LBFGS()):
        with pytest.raises(AttributeError, match=re.escape(_from_torch.OPTIMIZER[name])):
            getattr(optimizer, name)


def test_optimizers_are_still_copied_and_pickled() -> None:
    for optimizer in (optim.Adam(lr=0.25), optim.Lookahead(optim.SGD(lr=0.25))):
        for again in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
            assert again.lr == 0.25


@pytest.mark.parametrize("name", sorted(set(_from_torch.TENSOR) - {"requires_grad", "requires_grad_"}))
def test_what_torchs_tensors_have(name: str) -> None:
    for tensor in (rv.ops.relu([1.0]), nn.Linear(2, 1).weight):
        with pytest.raises(AttributeError, match=re.escape(_from_torch.TENSOR[name])):
            getattr(tensor, name)


@pytest.mark.parametrize("name", sorted(_from_torch.MODULE))
def test_what_torchs_modules_have(name: str) -> None:
    with pytest.raises(AttributeError, match=re.escape(f"Linear has no attribute {name!r}: ")):
        getattr(nn.Linear(2, 1), name)


@pytest.mark.parametrize(
    ("owner", "table"),
    [
        (rv, _from_torch.PACKAGE),
        (nn.utils, _from_torch.UTILS),
        (optim.lr_scheduler, _from_torch.LR_SCHEDULER),
    ],
)
def test_names_of_modules_that_are_elsewhere(owner: object, table: dict[str, str]) -> None:
    for name, way in table.items():
        with pytest.raises(AttributeError, match=re.escape(f"{name!r}: {way}")):
            getattr(owner, name)


def test_every_scheduler_names_a_schedule_that_there_is() -> None:
    for way in _from_torch.LR_SCHEDULER.values():
        for schedule in re.findall(r"schedules\.(\w+)", way):
            assert hasattr(optim.schedules, schedule), way


def test_functions_and_initialisers_under_torchs_names() -> None:
    assert F.softmax is rv.ops.softmax and "relu" in dir(F)
    assert nn.functional is F
    assert nn.init.kaiming_normal_ is rv.init.kaiming_normal_
    with pytest.raises(AttributeError, match=r"no attribute 'sofmax'; did you mean softmax"):
        F.sofmax  # noqa: B018
    assert rv.manual_seed is rv.seed


def test_devices() -> None:
    model = nn.Linear(2, 1, device="cpu")
    assert nn.Sequential(nn.Conv2d(1, 2, 3, device=None)) is not None
    assert model.to("cpu") is model and model.weight.dtype == "float32"
    assert model.to("cpu", "float64").weight.dtype == "float64"
    assert model.to(dtype="float32", device="cpu:0").weight.dtype == "float32"
    with pytest.raises(ValueError, match="to: the only device is 'cpu', got 'cuda'"):
        model.to("cuda")
    with pytest.raises(ValueError, match="BatchNorm1d: the only device is 'cpu', got 'cuda:1'"):
        nn.BatchNorm1d(3, device="cuda:1")
    with pytest.raises(TypeError, match="to: float32 or float64 is expected"):
        model.to("int64")


def test_a_module_of_a_user_has_its_own_arguments() -> None:
    class Net(nn.Module):
        def __init__(self, device: str) -> None:
            super().__init__()
            self.device = device

    assert Net(device="mine").device == "mine"
    with pytest.raises(AttributeError, match="Net has no attribute 'nothing'"):
        Net("x").nothing  # noqa: B018


def test_the_loss_of_a_step_is_a_number() -> None:
    step = rv.TrainStep(nn.Linear(2, 1), nn.MSELoss(), optim.SGD(lr=0.1))
    assert isinstance(step(np.ones((3, 2)), np.ones((3, 1))), float)
