"""torch's databases of operations, modules and optimizers: what they hold, Ravine gives as torch does.

Every sample of an entry that Ravine has: values, shapes, dtypes and gradients. What may differ stands, with
its reason, in docs/differences_from_pytorch.md, whose table is read here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ravine as rv

torch = pytest.importorskip("torch")
peer = pytest.importorskip("torch_samples")

from torch.testing._internal.common_methods_invocations import op_db  # noqa: E402
from torch.testing._internal.common_modules import module_db  # noqa: E402
from torch.testing._internal.common_optimizers import optim_db  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")

VARIANTS_LEFT_OUT = {
    ("nn.functional.batch_norm", "without_cudnn"),
    ("nn.functional.silu", "complex"),
    ("linalg.pinv", "singular"),  # a function of two matrices
    ("linalg.lstsq", ""),  # residuals by rank
    ("linalg.lstsq", "grad_oriented"),
    ("linspace", "tensor_overload"),  # as the others, thousands
    ("logspace", "tensor_overload"),
}
OPERATIONS = [
    op
    for op in op_db
    if peer.counterpart(op.name) and (op.name, op.variant_test_name) not in VARIANTS_LEFT_OUT
]
MODULES = [info for info in module_db if info.name.removeprefix("nn.") in rv.nn.__all__]
# Sparse gradients have tests of their own, tests/python/optim/test_sparse.py.
OPTIMIZERS = [
    info
    for info in optim_db
    if hasattr(rv.optim, info.name)
    and info.name not in ("LBFGS", "Muon")
    and not info.only_supports_sparse_grads
]


def title(op: Any) -> str:
    return f"{op.name}-{op.variant_test_name}" if op.variant_test_name else op.name


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    rv.set_num_threads(1)


@pytest.mark.parametrize("op", OPERATIONS, ids=title)
def test_operation(op: Any) -> None:
    function, theirs = peer.counterpart(op.name), getattr(op.op, "func", op.op)
    wrong = []
    for dtype in ("float32", "float64"):
        for call in peer.samples(op, dtype):
            try:
                wrong += peer.check_call(op.name, function, theirs, call, dtype)
            except peer.Untranslatable:  # noqa: PERF203
                continue
    assert not wrong, f"{len(wrong)} differences\n" + "\n".join(wrong[:10])


def test_the_databases_are_covered() -> None:
    """A rename in torch, or an adapter that finds nothing, would make the tests above say nothing."""
    assert len(OPERATIONS) > 130
    assert len(MODULES) > 40
    assert len(OPTIMIZERS) > 10
    names = {op.name for op in OPERATIONS}
    assert {"add", "nn.functional.conv2d", "sum", "__getitem__", "to"} <= names


def test_the_table_of_differences_names_things_that_exist() -> None:
    known = {op.name.removeprefix("nn.functional.") for op in op_db} | {
        i.name for i in (*module_db, *optim_db)
    }
    for row in peer.DIFFERENCES:
        if row.respects == ("argument",):
            continue
        assert set(row.names) <= known, row
        assert set(row.respects) <= {"value", "shape", "dtype", "gradient", "NaN", "argument"}, row


ROWS_OF_NAN = [name for row in peer.DIFFERENCES if row.respects == ("NaN",) for name in row.names]


@pytest.mark.parametrize("name", [name for name in ROWS_OF_NAN if name in rv.ops.__all__])
def test_where_torch_alone_has_nan(name: str) -> None:
    """The rows of the table say what is: torch has NaN, Ravine a number, and NaN of NaN."""
    labels = [torch.tensor([-100, -100])] if name in ("cross_entropy", "nll_loss") else []
    x = torch.tensor([[float("inf"), -float("inf")], [1.0, -2.0]])
    x = (torch.ones(2, 3) if labels else x).double().requires_grad_()
    call = peer.Call((x, *labels), {})
    (theirs,), *_ = call.theirs(getattr(torch.nn.functional, name))
    assert np.isnan(theirs).any()
    function = getattr(rv.ops, name)
    found = peer.difference(
        function(*map(peer.array, (x, *labels))).numpy(), theirs, peer.TOLERANCE["float64"]
    )
    assert found is not None and found[0] == "NaN"
    for dtype in ("float32", "float64"):  # eager, and compiled with gradients
        assert peer.check_call(name, function, getattr(torch.nn.functional, name), call, dtype) == []
    assert peer.is_judged(name, "gradient", "NaN", call)
    assert not peer.is_judged(name, "gradient", "value", call)
    if not labels:
        assert np.isnan(function(np.array(np.nan)).numpy())
        of_nan = peer.Call((torch.tensor(float("nan"), requires_grad=True),), {})
        assert not peer.is_judged(name, "", "NaN", of_nan)


def gradients_of(model: Any, call: Any, weights: list[np.ndarray]) -> tuple[list[Any], dict[str, Any]]:
    def objective(m: Any, leaves: list[Any]) -> Any:
        args, kwargs = call.ours(leaves)
        outputs = [o for o in peer.flat(m(*args, **kwargs)) if o.dtype.startswith("float")]
        return sum(((o * w).sum() for o, w in zip(outputs, weights, strict=True)), start=0.0)

    leaves = [peer.array(leaf) for leaf in call.leaves]
    by_inputs: list[Any] = []
    if leaves:
        _, by_inputs = rv.value_and_grad(lambda given: objective(model, given))(leaves)
    if not list(model.parameters()):
        return by_inputs, {}
    return by_inputs, rv.value_and_grad(objective, model)(leaves)[1]


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("info", MODULES, ids=lambda info: info.name)
def test_module(info: Any, training: bool) -> None:
    tolerance = peer.ROUGH.get(info.name, 1e-10)
    wrong: list[str] = []
    torch.manual_seed(0)
    inputs = info.module_inputs_func(
        info, device="cpu", dtype=torch.float64, requires_grad=True, training=training
    )
    for sample in inputs:
        try:
            made = peer.Call(sample.constructor_input.args, sample.constructor_input.kwargs)
            args, kwargs = made.ours([peer.array(leaf) for leaf in made.leaves])
            call = peer.Call(sample.forward_input.args, sample.forward_input.kwargs)
        except peer.Untranslatable:
            continue
        theirs = info.module_cls(*made.args, **made.kwargs).double().train(training)
        ours = getattr(rv.nn, info.name.removeprefix("nn."))(*args, **kwargs).to("float64")
        if isinstance(theirs, torch.nn.modules.lazy.LazyModuleMixin):  # both learn the size of their input
            theirs(*call.args, **call.kwargs)
            given, named = call.ours([peer.array(leaf) for leaf in call.leaves])
            ours(*given, **named)
        ours.load_state_dict({name: t.numpy() for name, t in theirs.state_dict().items()})
        ours.train(training)
        expected, weights, by_inputs = call.theirs(theirs)
        a, k = call.ours([peer.array(leaf) for leaf in call.leaves])
        pairs = [("output", *pair) for pair in zip(peer.flat(ours(*a, **k)), expected, strict=True)]
        # Copies: state dicts share the memory that the next call moves.
        state = {name: np.array(value) for name, value in ours.state_dict().items()}
        wanted = {name: value.clone() for name, value in theirs.state_dict().items()}
        assert list(state) == list(wanted)
        pairs += [(name, state[name], peer.array(wanted[name])) for name in state]
        parameters = dict(theirs.named_parameters())
        if weights:
            ours.load_state_dict({name: t.numpy() for name, t in wanted.items()})
            ours_inputs, ours_slopes = gradients_of(ours, call, weights)
            for p in parameters.values():
                p.grad = None
            torch.manual_seed(0)
            outputs = [o for o in peer.flat(theirs(*call.args, **call.kwargs)) if o.requires_grad]
            if parameters:
                cotangents = [torch.tensor(w) for w in weights]
                torch.autograd.backward(outputs, cotangents, inputs=list(parameters.values()))
            pairs += [("gradient", *pair) for pair in zip(ours_inputs, by_inputs, strict=True)]
            pairs += [
                ("gradient", ours_slopes[name], peer.array(torch.zeros_like(p) if p.grad is None else p.grad))
                for name, p in parameters.items()
            ]
        for what, actual, wish in pairs:
            found = peer.difference(actual, wish, tolerance)
            if found and not peer.is_judged(info.name, what, found[0], call):
                wrong.append(f"{made.args} {made.kwargs}: {what} {found[1]}")
    assert not wrong, f"{len(wrong)} differences\n" + "\n".join(wrong[:10])


@pytest.mark.parametrize("info", OPTIMIZERS, ids=lambda info: info.name)
def test_optimizer(info: Any) -> None:
    """Six steps of a small net in float64 from the same weights."""
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(8, 5)), rng.normal(size=(8, 3))
    monkey = torch.get_default_dtype()
    compared = 0
    for sample in info.optim_inputs_func(device="cpu"):
        kwargs = {
            key: value.item() if isinstance(value, torch.Tensor) else value
            for key, value in sample.kwargs.items()
            if key not in ("foreach", "fused", "capturable", "differentiable")
        }
        if kwargs.keys() != {k for k in sample.kwargs if sample.kwargs[k] or k in kwargs}:
            continue  # ways to run a step, not what it computes
        if any(isinstance(v, tuple) and any(isinstance(i, torch.Tensor) for i in v) for v in kwargs.values()):
            continue
        torch.set_default_dtype(torch.float64)
        try:
            torch.manual_seed(3)
            theirs = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Tanh(), torch.nn.Linear(4, 3))
            ours = rv.nn.Sequential(rv.nn.Linear(5, 4), rv.nn.Tanh(), rv.nn.Linear(4, 3))
            ours.to("float64").load_state_dict({n: t.numpy() for n, t in theirs.state_dict().items()})
            step = rv.TrainStep(ours, rv.nn.MSELoss(), getattr(rv.optim, info.name)(**kwargs))
            optimizer = info.optim_cls(theirs.parameters(), **kwargs)
            for t in range(6):
                optimizer.zero_grad()
                torch.nn.functional.mse_loss(theirs(torch.tensor(x)), torch.tensor(y)).backward()
                optimizer.step()
                step(x, y)
                state = ours.state_dict()
                for name, p in theirs.state_dict().items():
                    found = peer.difference(state[name], peer.array(p), 1e-9)
                    assert not found or peer.judged(info.name, "value"), (
                        f"{kwargs}, step {t + 1}, {name}: {found}"
                    )
            compared += 1
        finally:
            torch.set_default_dtype(monkey)
    assert compared
