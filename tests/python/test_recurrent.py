"""Recurrent layers and cells: what their calls mean, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import nn, ops, optim

LAYERS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
CELLS = {"rnn": nn.RNNCell, "gru": nn.GRUCell, "lstm": nn.LSTMCell}


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def states_of(state: Any) -> list[np.ndarray]:
    return list(state) if isinstance(state, tuple) else [state]


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_is_a_loop_over_its_cell(kind: str) -> None:
    layer, cell = LAYERS[kind](4, 6, dtype="float64"), CELLS[kind](4, 6, dtype="float64")
    cell.load_state_dict({name.removesuffix("_l0"): w for name, w in layer.state_dict().items()})
    x = numbers(5, 3, 4)
    output, last = layer(x)
    state = None
    for t in range(5):
        state = cell(x[t]) if state is None else cell(x[t], state)
        np.testing.assert_allclose(output[t], states_of(state)[0], rtol=1e-13)
    for got, expected in zip(states_of(last), states_of(state), strict=True):
        np.testing.assert_allclose(got[0], expected, rtol=1e-13)
    alone = cell(x[0, 0])
    np.testing.assert_allclose(states_of(alone)[0], output[0, 0], rtol=1e-13)


@pytest.mark.parametrize("kind", LAYERS)
def test_lengths_are_sequences_cut_by_hand(kind: str) -> None:
    """In every layer and direction, whatever stands past the lengths."""
    rv.seed(1)
    layer = LAYERS[kind](3, 5, num_layers=2, bidirectional=True, batch_first=True, dtype="float64")
    x, lengths = numbers(4, 6, 3), np.array([6, 0, 2, 5], "int32")
    for row, n in enumerate(lengths):
        x[row, n:] = np.nan
    output, last = layer(x, lengths=lengths)
    for row, n in enumerate(lengths):
        assert not output[row, n:].any()
        if n == 0:
            assert not any(state[:, row].any() for state in states_of(last))
            continue
        expected, expected_last = layer(x[row : row + 1, :n])
        np.testing.assert_allclose(output[row, :n], expected[0], rtol=1e-13)
        for got, want in zip(states_of(last), states_of(expected_last), strict=True):
            np.testing.assert_allclose(got[:, row], want[:, 0], rtol=1e-13)


def test_what_is_past_a_length_gets_no_gradient() -> None:
    layer = nn.GRU(3, 4, bidirectional=True, dtype="float64")
    x = numbers(5, 2, 3)
    x[3:, 1] = np.nan
    loss = lambda m, a: (m(a, lengths=[5, 3])[0] ** 2).sum()  # noqa: E731
    _, gradients = rv.value_and_grad(loss, layer)(x)
    assert all(np.isfinite(g).all() for g in gradients.values())
    _, by_input = rv.value_and_grad(lambda a: (layer(a, lengths=[5, 3])[0] ** 2).sum())(x)
    assert by_input[:3].all() and by_input[:, 0].all() and not by_input[3:, 1].any()


def test_one_sequence_needs_no_batch() -> None:
    lstm = nn.LSTM(3, 4, num_layers=2, proj_size=2, batch_first=True)
    x, state = numbers(5, 3), (numbers(2, 2), numbers(2, 4))
    output, (h, c) = lstm(x, state)
    assert output.shape == (5, 2) and h.shape == (2, 2) and c.shape == (2, 4)
    batched, _ = lstm(x[None], tuple(s[:, None] for s in state))
    np.testing.assert_array_equal(output, batched[0])


def test_the_state_carries_over() -> None:
    gru = nn.GRU(3, 4, num_layers=2)
    x = numbers(9, 2, 3)
    whole, last = gru(x)
    first, state = gru(x[:4])
    second, end = gru(x[4:], state)
    np.testing.assert_allclose(np.concatenate([first, second]), whole, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(end, last, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", LAYERS)
def test_bits_do_not_depend_on_threads(kind: str) -> None:
    x, y = numbers(11, 7, 19).astype("float32"), np.arange(7) % 3

    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = LAYERS[kind](19, 33, num_layers=2, bidirectional=True, dropout=0.2)
            self.head = nn.Linear(66, 3)

        def forward(self, x: Any) -> Any:
            return self.head(self.layers(x, lengths=[11, 3, 5, 0, 11, 1, 7])[0].mean(0))

    results = []
    for threads in (1, 2, 3, 5):
        rv.set_num_threads(threads)
        rv.seed(3)
        model = Classifier()
        step = rv.TrainStep(model, nn.CrossEntropyLoss(), optim.Adam(lr=0.01))
        losses = [step(x, y) for _ in range(3)]
        results.append((losses, {name: w.tobytes() for name, w in model.state_dict().items()}))
    assert all(result == results[0] for result in results[1:])


def test_dropout_acts_between_layers_in_training() -> None:
    gru = nn.GRU(3, 50, num_layers=2, dropout=0.5)
    x = numbers(4, 2, 3)
    assert (gru(x)[0] != gru(x)[0]).any()
    gru.eval()
    np.testing.assert_array_equal(gru(x)[0], gru(x)[0])
    with pytest.warns(UserWarning, match="GRU: dropout acts between layers"):
        nn.GRU(3, 4, dropout=0.5)


def test_a_second_derivative_agrees_with_differences() -> None:
    lstm = nn.LSTM(2, 3, proj_size=2, bidirectional=True, dtype="float64")
    x = numbers(3, 2, 2)
    names = list(lstm.state_dict())
    vectors = {name: numbers(*lstm.state_dict()[name].shape, seed=5) for name in names}

    def loss(model: Any, a: Any) -> Any:
        output, (h, c) = model(a, lengths=[3, 2])
        return (output**2).sum() + (h * c.sum()).sum()

    products = rv.hvp(loss, lstm)(x, vectors)
    gradients = []
    for sign in (1, -1):
        moved = nn.LSTM(2, 3, proj_size=2, bidirectional=True, dtype="float64")
        state = lstm.state_dict()
        moved.load_state_dict({name: state[name] + sign * 1e-5 * vectors[name] for name in names})
        gradients.append(rv.value_and_grad(loss, moved)(x)[1])
    for name in names:
        expected = (gradients[0][name] - gradients[1][name]) / 2e-5
        np.testing.assert_allclose(products[name], expected, rtol=1e-6, atol=1e-8, err_msg=name)


def test_parameters_are_uniform_and_described() -> None:
    lstm = nn.LSTM(30, 64, num_layers=2, bidirectional=True, proj_size=16)
    assert [tuple(w.shape) for w in lstm.all_weights[2]] == [(256, 32), (256, 16), (256,), (256,), (16, 64)]
    for name, parameter in lstm.named_parameters():
        assert 0.9 / 8 < abs(parameter.data).max() <= 1 / 8, name
    lstm.flatten_parameters()
    assert repr(lstm) == "LSTM(30, 64, num_layers=2, bidirectional=True, proj_size=16)"
    assert repr(nn.GRUCell(3, 4, bias=False)) == "GRUCell(3, 4, bias=False)"


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: nn.RNN(3, 0), ValueError, "RNN: hidden_size must be at least 1, got 0"),
        (lambda: nn.GRU(3.0, 4), TypeError, "GRU: input_size must be an integer"),  # type: ignore[arg-type]
        (lambda: nn.RNN(3, 4, nonlinearity="gelu"), ValueError, "RNN: nonlinearity must be 'tanh' or 'relu'"),
        (
            lambda: nn.LSTM(3, 4, proj_size=4),
            ValueError,
            "LSTM: proj_size must be below hidden_size 4, got 4",
        ),
        (lambda: nn.GRU(3, 4, dropout=1.5), ValueError, "GRU: dropout must be"),
        (lambda: nn.GRU(3, 4)(np.zeros((5, 2, 4))), ValueError, r"GRU: input must have shape \[T, N, 3\]"),
        (
            lambda: nn.GRU(3, 4, batch_first=True)(np.zeros((5, 2, 4))),
            ValueError,
            r"GRU: input must have shape \[N, T, 3\] or \[T, 3\], got \(5, 2, 4\)",
        ),
        (lambda: nn.GRU(3, 4)(np.zeros((5, 2, 3)), np.zeros((2, 4))), ValueError, r"h_0 .* \(1, 2, 4\)"),
        (lambda: nn.LSTM(3, 4)(np.zeros((5, 2, 3)), np.zeros((1, 2, 4))), TypeError, "the state is a pair"),
        (
            lambda: nn.GRU(3, 4)(np.zeros((5, 2, 3)), lengths=[5]),
            ValueError,
            r"lengths must have shape \(2,\)",
        ),
        (
            lambda: nn.GRU(3, 4)(np.zeros((5, 2, 3)), lengths=[5.0, 1.0]),
            TypeError,
            "lengths must be integers",
        ),
        (
            lambda: nn.GRU(3, 4)(np.zeros((5, 3)), lengths=[5]),
            ValueError,
            "GRU: lengths are those of a batch",
        ),
        (
            lambda: nn.GRU(3, 4)(np.zeros((5, 2, 3)), lengths=[5, 6]),
            ValueError,
            r"length 6 is outside \[0, 5\]",
        ),
        (lambda: nn.GRUCell(3, 4)(np.zeros((2, 5))), ValueError, r"GRUCell: input must have shape \[N, 3\]"),
        (lambda: nn.GRUCell(3, 4)(np.zeros((2, 3)), np.zeros((1, 4))), ValueError, r"state .* \(2, 4\)"),
        (lambda: nn.LSTMCell(3, 4)(np.zeros((2, 3)), np.zeros((2, 4))), TypeError, "pair"),
    ],
)
def test_wrong_arguments_are_named(build, error, message) -> None:
    with pytest.raises(error, match=message):
        build()


def test_a_bad_length_changes_nothing() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru = nn.GRU(3, 4)

        def forward(self, x: Any, n: Any) -> Any:
            return self.gru(x, lengths=n)[1][0]

    model = Model()
    step = rv.TrainStep(model, nn.CrossEntropyLoss(), optim.SGD(lr=0.1))
    x, y = numbers(5, 2, 3), np.array([1, 2])
    step((x, np.array([5, 2])), y)
    before = {name: w.copy() for name, w in model.state_dict().items()}
    with pytest.raises(ValueError, match="length 7 is outside"):
        step((x, np.array([7, 2])), y)
    for name, w in model.state_dict().items():
        np.testing.assert_array_equal(w, before[name])


def test_an_embedded_sequence_learns_to_count() -> None:
    """The label is the number of ones: the state must carry it over the whole length."""
    rv.seed(0)

    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(2, 8)
            self.lstm = nn.LSTM(8, 24, batch_first=True)
            self.head = nn.Linear(24, 7)

        def forward(self, x: Any) -> Any:
            _, (h, _) = self.lstm(self.embedding(x))
            return self.head(ops.squeeze(h, 0))

    x = np.random.default_rng(0).integers(0, 2, (512, 6))
    model = Counter()
    step = rv.TrainStep(model, nn.CrossEntropyLoss(), optim.Adam(lr=0.02))
    for _ in range(16):
        for first in range(0, 512, 64):
            step(x[first : first + 64], x[first : first + 64].sum(1))
    assert (model.eval()(x).argmax(1) == x.sum(1)).mean() > 0.97
