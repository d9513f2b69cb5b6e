"""Models leave Python and come back: the bits of the original for batches of any size, and clear refusals."""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import models, nn

BATCHES = (1, 7, 64)


def images(n: int, size: int = 16) -> np.ndarray:
    return np.random.default_rng(n).standard_normal((n, 1, size, size), np.float32)


def rows(n: int) -> np.ndarray:
    return np.random.default_rng(n).standard_normal((n, 12), np.float32)


def pixels(n: int) -> np.ndarray:
    return images(n, 32)


def series(n: int) -> np.ndarray:
    return rows(n)[:, None]


def table(n: int) -> tuple[np.ndarray, np.ndarray]:
    return rows(n)[:, :3], tokens(n)[:, :2] % 6


def tokens(n: int) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 11, (n, 6))


def uses_statistics(model: nn.Module) -> nn.Module:
    """The model with statistics and weights that are not those of the beginning."""
    rng = np.random.default_rng(0)
    for name, buffer in model.named_buffers():
        if buffer.dtype == "float32":
            spread = rng.random(buffer.shape).astype("float32")
            buffer.data[...] = 0.5 + spread if name.endswith("var") else spread - 0.5
    return model


ARCHITECTURES: dict[str, tuple[Callable[[], nn.Module], Callable[[int], Any]]] = {
    "mlp": (lambda: models.mlp(12, 3, dropout=0.25), rows),
    "cnn": (lambda: models.cnn((1, 16, 16), 10, (8, 8), hidden=16), images),
    "resnet18": (lambda: models.resnet18(1, width=4), images),
    "wide_resnet": (lambda: models.wide_resnet(10, 2, 1, width=4, dropout=0.1), images),
    "wide_resnet50_2": (lambda: models.wide_resnet50_2(1, 3, width=2), pixels),
    "mobilenet_v2": (lambda: models.mobilenet_v2(1, 3, width_mult=0.1), pixels),
    "vgg": (lambda: models.vgg(11, 1, 3, batch_norm=True, width=2, hidden=8), pixels),
    "tcn": (lambda: models.tcn(1, (4, 4), 2), series),
    "ft_transformer": (
        lambda: models.ft_transformer(3, (6, 6), 2, n_blocks=1, d_block=8, attention_n_heads=2),
        table,
    ),
    "dlrm": (lambda: models.dlrm(3, (6, 6), 4, bottom=(8,), top=(8,)), table),
    "gpt": (
        lambda: models.gpt(11, context_length=6, num_layers=2, embed_dim=16, num_heads=2, dropout=0.1),
        tokens,
    ),
    "Standardize": (lambda: models.Standardize(np.arange(12.0), np.arange(1.0, 13.0)), rows),
}


def inputs(examples: Callable[[int], Any], n: int) -> tuple[np.ndarray, ...]:
    made = examples(n)
    return made if isinstance(made, tuple) else (made,)


def test_every_architecture_is_exported() -> None:
    made = {name for name in models.__all__ if name[0].islower()}
    assert made | {"Standardize"} == set(ARCHITECTURES)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_exported_model_has_the_bits_of_the_original(name: str, tmp_path: Path) -> None:
    build, examples = ARCHITECTURES[name]
    model = uses_statistics(build())
    rv.export(tmp_path / "model", model, *inputs(examples, 3))
    assert all(module.training for module in model.modules())  # as they were
    loaded = rv.load_model(tmp_path / "model")
    model.eval()
    for n in BATCHES:
        arrays = inputs(examples, n)
        np.testing.assert_array_equal(loaded(*arrays), model(*arrays), strict=True)
    state = model.state_dict()
    assert list(loaded.state_dict()) == list(state)
    for key, value in loaded.state_dict().items():
        np.testing.assert_array_equal(value, state[key], strict=True)


def test_a_loaded_model_is_exported_again(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 2)).eval()
    rv.export(tmp_path / "first", model, images(2, 8))
    rv.export(tmp_path / "second", rv.load_model(tmp_path / "first"))
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    np.testing.assert_array_equal(rv.load_model(tmp_path / "second")(images(5, 8)), model(images(5, 8)))


class Nested(nn.Module):
    """Several inputs and results, a count of the batch, an array and numbers of Python."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.tied = self.linear.weight
        self.register_buffer("table", np.arange(6.0, dtype="float32").reshape(2, 3), persistent=False)

    def forward(self, pair: Any, *, scale: Any = 2) -> Any:
        x, (y, table) = pair
        hidden = self.linear(x) * scale
        total = hidden.sum() / x.shape[0]
        flat = hidden.reshape(x.shape[0] * 3)
        both = rv.ops.cat([hidden, y + self.table[0]], 0)
        return {"flat": flat, "rest": (total, [both, table @ np.ones((2, 2))]), "n": 3}


def test_nested_arguments_and_results_keep_their_nesting(tmp_path: Path) -> None:
    model = Nested()
    x, y, table = np.ones((4, 4)), np.ones((4, 3)), np.ones((3, 2))
    rv.export(tmp_path / "model", model, (x, (y, table)), batch=(0, 0, None))
    loaded = rv.load_model(tmp_path / "model")
    for n in BATCHES:
        given = (rows(n)[:, :4], (rows(n)[:, :3], table))
        expected, got = model.eval()(given), loaded(given)
        assert set(got) == set(expected) and got["n"] == 3 and isinstance(got["rest"], tuple)
        np.testing.assert_array_equal(got["flat"], expected["flat"])
        np.testing.assert_array_equal(got["rest"][0], expected["rest"][0])
        np.testing.assert_array_equal(got["rest"][1][0], expected["rest"][1][0])
        np.testing.assert_array_equal(got["rest"][1][1], expected["rest"][1][1])
    assert list(loaded.state_dict()) == ["tied", "linear.weight", "linear.bias"]
    with pytest.raises(TypeError, match=r"nested as"):
        loaded(x, (y, table))
    with pytest.raises(ValueError, match=r"shape \(5, 3\), and the arrays before it are a batch of 4"):
        loaded((x, (np.ones((5, 3)), table)))
    with pytest.raises(ValueError, match=r"shape \(3, 3\), expected \(3, 2\)"):
        loaded((x, (y, np.ones((3, 3)))))


def test_random_numbers_go_on(tmp_path: Path) -> None:
    class Noisy(nn.Module):
        def forward(self, x: Any) -> Any:
            return x + rv.ops.randn(*x.shape), rv.ops.dropout(x, 0.5, training=True)

    model = Noisy()
    model(rows(2))
    rv.export(tmp_path / "model", model, rows(2))
    loaded = rv.load_model(tmp_path / "model")
    for n in (2, 5, 2):
        for one, other in zip(loaded(rows(n)), model(rows(n)), strict=True):
            np.testing.assert_array_equal(one, other)


def test_predict_takes_pieces_and_many_threads(tmp_path: Path) -> None:
    model = models.mlp(12, 3).eval()
    rv.export(tmp_path / "model", model, rows(2))
    loaded = rv.load_model(tmp_path / "model")
    x = rows(50)
    expected = model(x)
    np.testing.assert_allclose(loaded.predict(x, batch_size=16), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(loaded.predict(x), expected)
    with pytest.raises(ValueError, match="batch_size"):
        loaded.predict(x, batch_size=0)
    wrong: list[int] = []

    def work() -> None:
        wrong.extend(i for i in range(20) if not np.array_equal(loaded(x), expected))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_weights_are_loaded_or_nothing_is(tmp_path: Path) -> None:
    model, other = models.mlp(12, 3).eval(), models.mlp(12, 3).eval()
    rv.export(tmp_path / "model", model, rows(2))
    loaded = rv.load_model(tmp_path / "model")
    state = other.state_dict()
    with pytest.raises(ValueError, match=r"missing key .*unexpected key nothing"):
        loaded.load_state_dict({"nothing": np.zeros(1), **dict(list(state.items())[1:])})
    np.testing.assert_array_equal(loaded(rows(5)), model(rows(5)))
    loaded.load_state_dict(state)
    np.testing.assert_array_equal(loaded(rows(5)), other(rows(5)))


# ---- what depends on the batch by other ways


class Function(nn.Module):
    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.inner = nn.Identity()
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(self.inner(x))


REFUSED = {
    "a square": (lambda x: rv.ops.zeros((x.shape[0] * x.shape[0],)) + x.sum(), "no multiple of the batch"),
    "a half": (lambda x: x[: x.shape[0] // 2], "no multiple of the batch"),
    "a limit": (lambda x: x[: min(x.shape[0], 1000)], "takes other operations"),
    "a quotient": (lambda x: x * (1.0 / x.shape[0]), "no whole number that grows with it"),
    "an array": (lambda x: x + np.arange(x.shape[0])[:, None], "made in Python depends on the size"),
    "operations": (lambda x: x.sum() if x.shape[0] > 100 else x.mean(), "operation"),
    "a loop": (lambda x: rv.ops.stack([x[i] for i in range(min(x.shape[0], 20))]), "operation"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_function_of_the_batch_is_refused(name: str, tmp_path: Path) -> None:
    function, message = REFUSED[name]
    model = Function(function)
    with pytest.raises(ValueError, match=message):
        rv.export(tmp_path / "model", model, rows(4))
    assert not (tmp_path / "model").exists()
    rv.export(tmp_path / "model", model, rows(4), batch="fixed")
    loaded = rv.load_model(tmp_path / "model")
    np.testing.assert_array_equal(loaded(rows(4)), model.eval()(rows(4)))
    with pytest.raises(ValueError, match=r"input0 has shape \(5, 12\), expected \(4, 12\)"):
        loaded(rows(5))


def test_the_message_names_module_and_operation(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(12, 2), Function(lambda x: x.reshape(x.shape[0] // 2 * 2 + 1)))
    with pytest.raises(ValueError, match=r"export: .*1.*operation 'reshape'|reshape"):
        rv.export(tmp_path / "model", model, rows(4))


def test_one_example_may_be_something_else(tmp_path: Path) -> None:
    model = Function(lambda x: x * 3 if x.shape[0] == 1 else x * 2)
    rv.export(tmp_path / "model", model, rows(4))
    loaded = rv.load_model(tmp_path / "model")
    np.testing.assert_array_equal(loaded(rows(2)), rows(2) * 2)
    with pytest.raises(ValueError, match="a batch of 1; the graph was exported for batches of 2 or more"):
        loaded(rows(1))


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((), {}, TypeError, "example inputs"),
        ((rows(2), rows(3)), {}, ValueError, "takes|positional|batches"),
        ((rows(2),), {"batch": 3}, ValueError, "no axis 3"),
        ((rows(2),), {"batch": "any"}, ValueError, "'fixed'"),
        ((rows(2),), {"batch": (0, 0)}, ValueError, "2 axes for 1 arrays"),
        ((rows(2)[:, :5],), {}, ValueError, "5"),
    ],
)
def test_bad_arguments(
    arguments: tuple[Any, ...], options: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises((error, TypeError) if len(arguments) == 2 else error, match=message):
        rv.export(tmp_path / "model", models.mlp(12, 3), *arguments, **options)
    assert list(tmp_path.iterdir()) == []


def test_hooks_are_refused(tmp_path: Path) -> None:
    model = models.mlp(12, 3)
    handle = model[0].register_forward_hook(lambda module, inputs, outputs: None)
    with pytest.raises(ValueError, match="'0' has hooks"):
        rv.export(tmp_path / "model", model, rows(2))
    handle.remove()
    rv.export(tmp_path / "model", model, rows(2))


# ---- files that are no exports


def edited(path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The file with another document in its metadata."""
    content = path.read_bytes()
    end = 8 + struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8:end])
    document = json.loads(header["__metadata__"]["ravine.export"])
    change(document)
    header["__metadata__"]["ravine.export"] = json.dumps(document)
    text = json.dumps(header).encode()
    new = path.with_name("edited")
    new.write_bytes(struct.pack("<Q", len(text)) + text + content[end:])
    return new


def node_of(document: dict[str, Any], name: str) -> list[Any]:
    number = [entry[0] for entry in document["operations"]].index(name)
    return next(node for node in document["model"]["graph"]["nodes"] if node[0] == number)


def put(target: Any, *path: Any) -> None:
    *places, last, value = path
    for place in places:
        target = target[place]
    target[last] = value


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "version": (lambda d: put(d, "version", 2), "version 2 of the format, expected 1"),
    "kind": (lambda d: put(d, "kind", "net"), "unknown kind 'net'"),
    "operation": (lambda d: put(d, "operations", 0, 0, "matmull"), "'matmull', which this version"),
    "operation's version": (lambda d: put(d, "operations", 0, 1, 9), "has version 9 of the operation"),
    "effect": (lambda d: put(d, "operations", 0, 0, "assign"), "'assign'"),
    "cycle": (lambda d: put(node_of(d, "relu"), 2, [500]), "is not in"),
    "itself": (
        lambda d: put(node_of(d, "relu"), 2, [d["model"]["graph"]["nodes"].index(node_of(d, "relu"))]),
        "is not in",
    ),
    "no input": (lambda d: put(node_of(d, "relu"), 2, []), "relu.*takes 1"),
    "output": (lambda d: put(node_of(d, "relu"), 2, [[0, 3]]), "output 3 of node 0"),
    "attribute": (lambda d: put(node_of(d, "relu"), 3, {"slope": {"colour": 1}}), "unknown kind 'colour'"),
    "deep": (lambda d: put(d, "keys", json.loads("[" * 80 + "]" * 80)), "nested more than 64 deep"),
    "tensor": (lambda d: put(d, "states", 0, 0, "model.nothing"), "tensor 'model.nothing' is missing"),
    "shape": (lambda d: put(d, "states", 0, 2, [3, 3]), r"is float32 .*, expected float32 \[3,3\]"),
    "result": (lambda d: put(d, "model", "graph", "outputs", 0, 2, [7]), "the file states float32"),
    "input": (lambda d: put(d, "model", "graph", "nodes", 0, 2, [[0, 2], 12]), "an input of shape"),
    "absurd": (lambda d: put(d, "model", "graph", "nodes", 0, 2, [[0, 1], 2**60]), "."),
    "no graph": (lambda d: d.pop("model"), "no graph of inference"),
    "streams": (lambda d: put(d, "model", "graph", "streams", -1), "streams: -1"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_graph_is_refused(name: str, tmp_path: Path) -> None:
    rv.export(tmp_path / "model", nn.Sequential(nn.Linear(12, 4), nn.ReLU(), nn.Linear(4, 2)), rows(2))
    change, message = BROKEN[name]
    path = edited(tmp_path / "model", change)
    with pytest.raises(ValueError, match=message) as caught:
        rv.load_model(path)
    assert str(path) in str(caught.value)


def test_other_files_are_refused(tmp_path: Path) -> None:
    rv.save(tmp_path / "weights", models.mlp(12, 3))
    with pytest.raises(ValueError, match=r"no 'ravine.export': a file of weights alone is read by load"):
        rv.load_model(tmp_path / "weights")
    with pytest.raises(FileNotFoundError):
        rv.load_model(tmp_path / "nothing")
    rv.export(tmp_path / "model", models.mlp(12, 3), rows(2))
    with pytest.raises(ValueError, match="it is a model"):
        rv.load_step(tmp_path / "model")
