"""Module: registration, state, modes, programs and their cache."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import ravine as rv
from ravine import nn, ops


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU())
        self.head = nn.Linear(6, 2, bias=False)
        self.scale = nn.Parameter(np.ones(2, "float32"))
        self.register_buffer("offset", np.zeros(2, "float32"))
        self.register_buffer("scratch", np.zeros(3, "float32"), persistent=False)
        self.factor = 1.0

    def forward(self, x):
        return self.head(self.body(x)) * self.scale * self.factor + self.offset


NAMES = ["scale", "body.0.weight", "body.0.bias", "body.1.weight", "body.1.bias", "head.weight"]
KEYS = [
    "scale", "offset", "body.0.weight", "body.0.bias", "body.1.weight", "body.1.bias", "body.1.running_mean",
    "body.1.running_var", "body.1.num_batches_tracked", "head.weight",
]  # fmt: skip


def test_names_and_keys() -> None:
    net = Net()
    assert [name for name, _ in net.named_parameters()] == NAMES
    assert list(net.state_dict()) == KEYS
    assert [name for name, _ in net.named_buffers()][:2] == ["offset", "scratch"]
    assert [name for name, _ in net.named_modules()] == ["", "body", "body.0", "body.1", "body.2", "head"]
    assert net.get_parameter("body.0.weight") is net.body[0].weight
    assert net.get_submodule("body.1") is net.body[1]
    assert "offset" in dir(net) and "body" in dir(net)


def test_state_dict_is_a_copy_that_loads_back() -> None:
    net, other = Net(), Net()
    state = net.state_dict()
    net.scale.data[...] = 5
    assert (state["scale"] == 1).all()
    other.load_state_dict(net.state_dict())
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name], array)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("head.weight"), "missing keys: head.weight"),
        (lambda d: d.update(extra=np.zeros(1)), "unexpected keys: extra"),
        (
            lambda d: d.update({"scale": np.zeros(3)}),
            r"scale: shape \(3,\) in the state_dict, \(2,\) in the model",
        ),
        (lambda d: d.update({"scale": np.array(["a", "b"])}), "scale: dtype <U1"),
    ],
)
def test_load_state_dict_lists_what_is_wrong_and_changes_nothing(change, message: str) -> None:
    net = Net()
    before = net.state_dict()
    broken = {name: array + 1 for name, array in before.items()}
    change(broken)
    with pytest.raises(ValueError, match=message):
        net.load_state_dict(broken)
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_load_state_dict_not_strict_takes_what_fits() -> None:
    net = Net()
    result = net.load_state_dict({"scale": np.array([2.0, 3.0]), "extra": np.zeros(1)}, strict=False)
    assert result.unexpected_keys == ["extra"]
    counted = "body.1.num_batches_tracked"  # may always be missing
    assert result.missing_keys == [key for key in KEYS if key not in ("scale", counted)]
    np.testing.assert_array_equal(net.scale.data, [2, 3])


def test_modes_reach_all_modules() -> None:
    net = Net()
    assert all(module.training for module in net.modules())
    assert not any(module.training for module in net.eval().modules())
    assert all(module.training for module in net.train().modules())
    with pytest.raises(TypeError):
        net.train("yes")  # type: ignore[arg-type]


def test_calls_compile_once_for_each_shape_dtype_and_mode() -> None:
    net = Net().eval()
    x = np.ones((5, 4), "float32")
    net(x), net(x), net(x + 1)
    assert len(net.programs()) == 1
    net(x[:3])
    assert len(net.programs()) == 2
    net(x[:3].astype("float64"))
    assert len(net.programs()) == 3
    net.train()
    net(x)
    assert len(net.programs()) == 4
    net.eval()
    net(x)
    assert len(net.programs()) == 4  # known from before
    assert "gemm" in net.programs()[0].describe()


def test_attribute_changes_are_seen_by_the_next_call() -> None:
    net = Net().eval()
    x = np.random.default_rng(0).standard_normal((5, 4))
    before = net(x)
    net.factor = 2.0
    np.testing.assert_allclose(net(x), 2 * before, rtol=1e-6)
    net.head = nn.Linear(6, 2, bias=False)
    assert not np.allclose(net(x), 2 * before)
    net.scale = nn.Parameter(np.zeros(2, "float32"))
    assert (net(x) == 0).all()


def test_changes_inside_containers_and_arrays_are_seen() -> None:
    class Weighted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = [1.0, 2.0]
            self.table = np.array([1.0, 1.0], "float32")

        def forward(self, x):
            return x * self.weights[0] * self.table

    net = Weighted()
    x = np.ones(2, "float32")
    np.testing.assert_array_equal(net(x), [1, 1])
    net.weights[0] = 3.0
    np.testing.assert_array_equal(net(x), [3, 3])
    net.table[1] = 5
    np.testing.assert_array_equal(net(x), [3, 15])


@pytest.mark.filterwarnings("ignore:Applied was compiled again for the 10th time")
def test_a_function_in_place_of_a_dead_one_is_seen() -> None:
    class Applied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.function = None

        def forward(self, x):
            return x if self.function is None else self.function(x)

    net = Applied()
    x = np.ones(1, "float32")
    for factor in range(50):  # some of them lie where one before them lay
        net.function = lambda t, factor=factor: t * factor
        assert net(x) == factor
        net.function = None
        assert net(x) == 1


@pytest.mark.filterwarnings("ignore:Linear was compiled for 4 sizes")
def test_the_cache_is_bounded() -> None:
    net = nn.Linear(2, 2)
    rv.set_program_cache_size(3)
    try:
        for n in range(1, 8):
            net(np.zeros((n, 2)))
        assert len(net.programs()) == 3
    finally:
        rv.set_program_cache_size(64)
    with pytest.raises(ValueError, match="positive integer"):
        rv.set_program_cache_size(0)


def test_weights_written_into_data_are_used_without_compiling_again() -> None:
    net = nn.Linear(2, 1, bias=False)
    x = np.array([[1.0, 2.0]], "float32")
    net(x)
    net.weight.data[...] = [[3, 4]]
    assert net(x)[0, 0] == 11
    net.weight.data = np.array([[1.0, 1.0]])
    assert net(x)[0, 0] == 3
    assert len(net.programs()) == 1


def test_conversion_to_float64_and_back() -> None:
    net = Net().to("float64").eval()
    assert {p.dtype for p in net.parameters()} == {"float64"}
    assert net.body[1].num_batches_tracked.dtype == "int64"
    x = np.ones((2, 4), "float32")
    assert net(x).dtype == np.float64
    assert net.float()(x).dtype == np.float32
    assert nn.ReLU().double()(np.ones(2, "float32")).dtype == np.float64
    assert net.to("cpu", "float64").to("cpu").to(None)(x).dtype == np.float64
    assert net.to(ops.abs(x))(x).dtype == net.to(np.ones(2)).to(device="cpu", dtype=np.float32)(x).dtype
    for wrong, message in (
        (("int32",), "float32 or float64"),
        (("float64", "float32"), "to: expected a dtype, a device, or both, got 'float64', 'float32'"),
        (("cpu", "cpu"), "to: expected a dtype, a device, or both"),
    ):
        with pytest.raises(TypeError, match=message):
            net.to(*wrong)
    with pytest.raises(ValueError, match="to: the only device is 'cpu', got 'cuda'"):
        net.to("cuda", "float64")
    assert {p.dtype for p in net.parameters()} == {"float32"}


def test_deepcopy_and_pickle_are_independent() -> None:
    net = Net().eval()
    net.head.weight.requires_grad = False
    x = np.ones((2, 4), "float32")
    expected = net(x)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(twin(x), expected)
        assert not twin.head.weight.requires_grad
        assert not twin.training
        twin.scale.data[...] = 0
        np.testing.assert_array_equal(net(x), expected)


def test_shared_modules_and_parameters_count_once() -> None:
    layer = nn.Linear(3, 3)
    net = nn.Sequential(layer, nn.ReLU(), layer)
    assert len(list(net.parameters())) == 2
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    _, gradients = rv.value_and_grad(lambda m, x: m(x).sum(), net)(np.ones((1, 3)))
    assert list(gradients) == ["0.weight", "0.bias"]


def test_registration_errors() -> None:
    class Early(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.Linear(1, 1)

    with pytest.raises(AttributeError, match=r"super\(\).__init__\(\)"):
        Early()
    net = Net()
    with pytest.raises(TypeError, match=r"Net\.scale is registered state"):
        net.scale = 3
    with pytest.raises(ValueError, match="without dots"):
        net.register_buffer("a.b", np.zeros(1))
    with pytest.raises(ValueError, match="already has a method"):
        net.forward = nn.Linear(1, 1)
    with pytest.raises(TypeError, match="Module is expected"):
        nn.Sequential(nn.ReLU(), 3)
    with pytest.raises(TypeError, match="float32 or float64"):
        nn.Parameter([1, 2])
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        net.nothing  # noqa: B018
    with pytest.raises(NotImplementedError, match="does not define forward"):
        nn.Module()(np.zeros(1))


def test_removing_and_replacing_parts() -> None:
    net = Net()
    del net.head
    assert not hasattr(net, "head")
    net.scale = None
    assert "scale" not in dict(net.named_parameters())
    net.body[2] = nn.Tanh()
    assert isinstance(net.body[2], nn.Tanh)
    assert len(net.body[:2]) == 2
    assert net.body[-1] is net.body[2]
    with pytest.raises(IndexError):
        net.body[3]


def test_containers() -> None:
    layers = nn.ModuleList([nn.Linear(2, 2)]).append(nn.ReLU())
    assert len(layers) == 2
    assert [name for name, _ in layers.named_parameters()] == ["0.weight", "0.bias"]
    named = nn.ModuleDict({"a": nn.Linear(2, 2)})
    named["b"] = nn.ReLU()
    assert list(named) == ["a", "b"] and "a" in named and len(named) == 2
    del named["a"]
    assert list(named.keys()) == ["b"]
    with pytest.raises(KeyError):
        named["a"]
    ordered = nn.Sequential({"first": nn.Linear(2, 2), "second": nn.ReLU()})
    assert list(ordered.state_dict()) == ["first.weight", "first.bias"]


def test_apply_visits_children_first() -> None:
    visited = []
    net = Net()
    assert net.apply(lambda m: visited.append(type(m).__name__)) is net
    assert visited == ["Linear", "BatchNorm1d", "ReLU", "Sequential", "Linear", "Net"]


def test_structured_inputs_and_outputs() -> None:
    class Both(nn.Module):
        def forward(self, pair, scale=1.0, *, named=None):
            a, b = pair
            return {"sum": (a + b) * scale, "parts": [a, (b, named)], "text": "kept"}

    result = Both()((np.ones(2), [1.0, 2.0]), 3.0, named=np.arange(2))
    np.testing.assert_array_equal(result["sum"], [6, 9])
    np.testing.assert_array_equal(result["parts"][1][1], [0, 1])
    assert result["parts"][1][1].dtype == np.int64
    assert result["text"] == "kept"


def test_buffers_assigned_in_forward() -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", np.array(0))

        def forward(self, x):
            self.count = self.count + 1
            self.count = self.count * 2  # sees the assignment before it
            return x + rv.ops.cast(self.count, "float32")

    net = Counter()
    x = np.zeros(1, "float32")
    assert [float(net(x)[0]) for _ in range(3)] == [2, 6, 14]
    assert net.count.item() == 14
    with rv.eager():
        assert float(net(x)[0]) == 30
    assert net.count.item() == 30


def test_summary_counts_what_there_is() -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)
    )
    net[0].requires_grad_(False)
    lines = net.summary((1, 4, 4)).splitlines()
    assert lines[1].split() == ["0", "(Conv2d)", "[N,", "4,", "4,", "4]", "40"]
    assert lines[-2].split() == ["4", "(Linear)", "[N,", "3]", "195"]
    assert lines[-1] == "243 parameters, 203 trainable, 972 bytes"
    assert net.training and net[1].num_batches_tracked.item() == 0
    text = nn.Sequential(nn.Embedding(5, 2), nn.Flatten(), nn.Linear(6, 1)).summary((3,), "int64")
    assert "[N, 3, 2]" in text


def test_output_memory_is_the_callers() -> None:
    net = nn.Identity()
    x = np.zeros((2, 2), "float32")
    first = net(x)
    first[...] = 7
    second = net(x)
    assert (x == 0).all() and (second == 0).all() and first.base is None


def test_numpy_copies_a_parameter_unless_a_view_will_do() -> None:
    weight = nn.Linear(2, 3).weight
    copied, view = np.array(weight), np.asarray(weight)
    before = copied.copy()
    weight.data = np.zeros((3, 2))
    np.testing.assert_array_equal(copied, before)
    np.testing.assert_array_equal(view, 0)
    assert np.array(weight, dtype="float64").dtype == np.float64
    with pytest.raises(ValueError, match="no float64 array"):
        weight.__array__(np.dtype("float64"), copy=False)
