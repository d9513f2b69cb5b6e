"""State in and out of modules: what is accepted, what is refused whole; modules nested very deep."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import ravine as rv
from ravine import data, nn, ops, optim


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(5, 3)
        self.head = nn.Linear(3, 5, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, i):
        return self.head(self.embed(i))


def bits(model: nn.Module) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in model.state_dict().items()}


@pytest.mark.parametrize("layer", [nn.BatchNorm1d, nn.BatchNorm2d])
@pytest.mark.parametrize("strict", [True, False])
def test_a_missing_count_of_batches_stays_as_it_is(layer: type[nn.Module], strict: bool) -> None:
    model = nn.Sequential(layer(4), nn.Sequential(layer(4)))
    model[0].num_batches_tracked.data[...] = 9
    state = {key: value + 1 for key, value in model.state_dict().items() if "tracked" not in key}
    assert model.load_state_dict(state, strict) == ([], [])
    assert model[0].num_batches_tracked.data == 9
    np.testing.assert_array_equal(model[1][0].running_mean.data, np.ones(4))
    del state["1.0.running_mean"]
    with pytest.raises(ValueError, match=r"missing keys: 1\.0\.running_mean$"):
        model.load_state_dict(state)


@pytest.mark.parametrize("name", ["embed.weight", "head.weight"])
def test_one_name_of_a_tied_weight_is_enough(name: str) -> None:
    model = Tied()
    value = model.state_dict()[name] + 2
    assert model.load_state_dict({name: value}) == ([], [])
    np.testing.assert_array_equal(model.head.weight.data, value)
    np.testing.assert_array_equal(model.embed.weight.data, value)
    assert model.load_state_dict({}, strict=False).missing_keys == ["embed.weight", "head.weight"]


@pytest.mark.parametrize("strict", [True, False])
def test_names_of_a_tied_weight_must_agree(strict: bool) -> None:
    model = Tied()
    both = model.state_dict()
    both["embed.weight"][0, 0] = both["head.weight"][0, 0] = np.nan
    model.load_state_dict(both, strict)  # not a number on both sides is agreement
    before = bits(model)
    both["head.weight"][1, 1] += 1
    with pytest.raises(
        ValueError, match=r"head\.weight and embed\.weight are one tensor, but have different"
    ):
        model.load_state_dict(both, strict)
    assert bits(model) == before


def test_not_strict_skips_and_reports_what_does_not_fit() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    state = model.state_dict()
    old = state["1.weight"].copy()
    state = {"0.weight": state["0.weight"] + 1, "1.weight": np.ones((7, 4)), "1.bias": [3.0, 4.0], "more": 1}
    with pytest.raises(
        ValueError, match=r"missing keys: 0\.bias\n.*more\n.*misshaped: 1\.weight: shape \(7, 4\)"
    ):
        model.load_state_dict(state)
    result = model.load_state_dict(state, strict=False)
    missing, unexpected = result  # as in PyTorch
    assert (missing, unexpected, result.misshaped_keys) == (["0.bias"], ["more"], ["1.weight"])
    assert "misshaped_keys=['1.weight']" in repr(result)
    assert pickle.loads(pickle.dumps(result)).misshaped_keys == ["1.weight"]
    np.testing.assert_array_equal(model[1].weight.data, old)
    np.testing.assert_array_equal(model[1].bias.data, [3, 4])
    np.testing.assert_array_equal(model[0].weight.data, state["0.weight"])


@pytest.mark.parametrize(
    ("key", "value", "kind", "message"),
    [
        (
            "0.bias",
            np.array([None] * 4),
            ValueError,
            "0.bias: dtype object in the state_dict does not convert",
        ),
        ("0.bias", np.ones(4) * 1j, ValueError, "complex128"),
        ("0.bias", np.ma.masked_array(np.ones(4), [1, 0, 0, 0]), TypeError, "0.bias: a masked array"),
        ("1.num_batches_tracked", 2.5, ValueError, "does not convert to int64"),
        ("1.num_batches_tracked", np.nan, ValueError, "does not convert to int64"),
        ("1.running_var", np.ones(5), ValueError, "misshaped: 1.running_var"),
    ],
)
def test_everything_is_checked_before_anything_moves(key: str, value, kind, message: str) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    before = bits(model)
    state = {name: array + 1 for name, array in model.state_dict().items()}
    with pytest.raises(kind, match=message):
        model.load_state_dict({**state, key: value})
    assert bits(model) == before


def test_something_else_than_a_dict_is_a_clear_error() -> None:
    with pytest.raises(TypeError, match=r"got str; rv\.load\(path\) reads one"):
        nn.Linear(1, 1).load_state_dict("model.safetensors")  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="a dict of names and arrays is expected, got Linear"):
        nn.Linear(1, 1).load_state_dict(nn.Linear(1, 1))  # pyright: ignore[reportArgumentType]


def test_tensors_of_torch_are_taken(tmp_path) -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    ours = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    ours.load_state_dict(dict(theirs.named_parameters()), strict=False)
    np.testing.assert_array_equal(ours[0].weight.data, theirs[0].weight.detach().numpy())
    for kind in (torch.float16, torch.bfloat16, torch.float64):
        state = {key: t.to(kind) if t.is_floating_point() else t for key, t in theirs.state_dict().items()}
        ours.load_state_dict(state)
        expected = state["0.weight"].float().numpy()
        np.testing.assert_array_equal(ours[0].weight.data, expected)
        rv.save(tmp_path / "w", state)
        np.testing.assert_array_equal(rv.load(tmp_path / "w")["0.weight"], expected)
    x = torch.ones(2, 3, requires_grad=True)
    np.testing.assert_allclose(nn.Identity()(x), np.ones((2, 3)))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("optimizer.steps", [1, 2]),
        ("optimizer.steps", -1),
        ("optimizer.weight.step", 1.5),
        ("random.seed", np.zeros(2, np.int64)),
        ("random.step", 0.5),
    ],
)
def test_a_step_with_wrong_counters_stays_as_it_was(key: str, value) -> None:
    step = rv.TrainStep(nn.Linear(2, 1), nn.MSELoss(), optim.SGD(lr=0.1, momentum=0.9))
    step(np.ones((4, 2)), np.ones((4, 1)))
    before = step.state_dict()
    other = {name: array + 1 if array.shape == (1, 2) else array for name, array in before.items()}
    with pytest.raises(ValueError, match=key.rpartition(".")[2]):
        step.load_state_dict({**other, key: value})
    after = step.state_dict()
    assert {k: v.tobytes() for k, v in after.items()} == {k: v.tobytes() for k, v in before.items()}


# ---- masked arrays

MASKED = np.ma.masked_array(np.ones((4, 2)), np.eye(4, 2) == 1)
LABELS = np.ma.masked_array(np.zeros(4, np.int64), [0, 0, 0, 1])


def _step(x, y) -> None:
    rv.TrainStep(nn.Linear(2, 3), nn.CrossEntropyLoss(), optim.SGD(lr=0.1))(x, y)


def _fit(x, y) -> None:
    rv.Trainer(nn.Linear(2, 3), nn.CrossEntropyLoss(), optim.SGD(lr=0.1)).fit(x, y, epochs=1)


@pytest.mark.parametrize(
    "use",
    [
        lambda: nn.Linear(2, 3)(MASKED),
        lambda: nn.Linear(2, 3)(input=MASKED),
        lambda: ops.exp(MASKED),
        lambda: ops.exp([MASKED, MASKED]),
        lambda: ops.add(np.ones((4, 2)), MASKED),
        lambda: nn.Parameter(np.ones((4, 2))) + MASKED,
        lambda: nn.Parameter(MASKED),
        lambda: nn.Buffer(MASKED),
        lambda: setattr(nn.Parameter(np.ones((4, 2))), "data", MASKED),
        lambda: _step(MASKED, np.zeros(4, np.int64)),
        lambda: _step(np.ones((4, 2)), LABELS),
        lambda: _fit(MASKED, np.zeros(4, np.int64)),
        lambda: _fit(np.ones((4, 2)), LABELS),
        lambda: rv.value_and_grad(lambda x: (x * x).sum(), nn.Linear(2, 1))(MASKED),
        lambda: data.Batches(np.ones((4, 2)), LABELS),
        lambda: data.train_test_split(MASKED, LABELS),
        lambda: data.idx.write("/nonexistent/file", MASKED),
    ],
)
def test_masked_arrays_are_refused_everywhere(use) -> None:
    with pytest.raises(TypeError, match=r"a masked array cannot be used.*x\.filled"):
        use()


# ---- deep nests


def nested(levels: int) -> nn.Module:
    model: nn.Module = nn.Linear(2, 2)
    for _ in range(levels):
        model = nn.Sequential(model)
    return model


def test_a_thousand_nested_modules() -> None:
    model = nested(1000)
    assert sum(1 for _ in model.modules()) == 1001
    assert list(model.state_dict()) == ["0." * 1000 + "weight", "0." * 1000 + "bias"]
    model.eval()
    assert not any(module.training for module in model.modules())
    lines = repr(model).split("\n")
    assert (
        len(lines) == 2001
        and lines[1000] == "  " * 1000 + "(0): Linear(in_features=2, out_features=2, bias=True)"
    )
    seen: list[nn.Module] = []
    model.apply(seen.append)
    assert isinstance(seen[0], nn.Linear) and seen[-1] is model and len(seen) == 1001
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert bits(twin) == bits(model)
        assert sum(1 for _ in twin.modules()) == 1001
        twin.load_state_dict(model.state_dict())
        next(twin.parameters()).data[...] = 7
        assert not (next(model.parameters()).data == 7).any()


def test_calls_nested_too_deep_name_the_limit() -> None:
    deep, x = nested(1000), np.ones((1, 2))
    step = rv.TrainStep(deep, nn.MSELoss(), optim.SGD(lr=0.1))
    before = bits(deep)
    for use in (lambda: deep(x), lambda: deep.summary((2,)), lambda: step(x, x)):
        with pytest.raises(
            RecursionError, match=r"nested deeper than Python's recursion limit of \d+ allows"
        ):
            use()
    assert bits(deep) == before
    usable = nested(150)
    expected = usable.get_submodule(".".join("0" * 150))(x)
    np.testing.assert_array_equal(usable(x), expected)


def test_copies_keep_modules_that_stand_in_two_places() -> None:
    shared = nested(40)
    model = nn.ModuleDict({"a": shared, "b": nn.Sequential(nn.Sequential(shared))})
    model.plain = [shared]
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert twin["a"] is twin["b"][0][0] is twin.plain[0]
        assert twin["a"] is not shared
        assert len(list(twin.parameters())) == 2
