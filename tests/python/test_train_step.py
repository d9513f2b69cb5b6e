"""TrainStep, gradients, eager mode: freezing, resuming, exact bits for any number of threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import nn, ops, optim


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.3),
        nn.Linear(64, 32), nn.LayerNorm(32), nn.GELU(), nn.Linear(32, 10),
    )  # fmt: skip


def batches(n: int, rows: int = 33, seed: int = 5) -> list[tuple[np.ndarray, np.ndarray]]:
    generator = np.random.default_rng(seed)
    return [
        (generator.standard_normal((rows, 1, 12, 12)).astype("float32"), generator.integers(0, 10, rows))
        for _ in range(n)
    ]


def train(
    seed: int = 3, n: int = 6, optimizer: Callable[[], optim.Optimizer] | None = None
) -> dict[str, np.ndarray]:
    rv.seed(seed)
    model = network()
    step = rv.TrainStep(
        model, nn.CrossEntropyLoss(), optimizer() if optimizer else optim.SGD(0.1, momentum=0.9)
    )
    losses = [step(x, y) for x, y in batches(n)]
    return {**model.state_dict(), **step.state_dict(), "losses": np.array(losses)}


def assert_same_bits(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    assert a.keys() == b.keys()
    for name, array in a.items():
        assert array.tobytes() == b[name].tobytes(), name


def test_the_bits_do_not_depend_on_the_number_of_threads() -> None:
    results = []
    for threads in (1, 2, 3, 5):
        with rv.threads(threads):
            results.append(train())
    assert np.isfinite(results[0]["losses"]).all()
    assert results[0]["losses"][-1] != results[0]["losses"][0]
    for other in results[1:]:
        assert_same_bits(results[0], other)


def test_numbers_of_threads_nest_and_belong_to_the_thread() -> None:
    rv.set_num_threads(3)
    assert rv.get_num_threads() == 3
    seen: list[int] = []
    with rv.threads(2):
        with rv.threads(5):
            assert rv.get_num_threads() == 5
            other = threading.Thread(target=lambda: seen.append(rv.get_num_threads()))
            other.start()
            other.join()
        assert rv.get_num_threads() == 2
    assert rv.get_num_threads() == 3
    assert seen == [3]


def test_the_bits_repeat_from_run_to_run_and_follow_the_seed() -> None:
    assert_same_bits(train(), train())
    assert train(3)["0.weight"].tobytes() != train(4)["0.weight"].tobytes()


def test_two_threads_at_once_give_what_each_gives_alone() -> None:
    # Made one after the other, trained at once: only making draws from the process's generator.
    def make() -> list[tuple[nn.Module, rv.TrainStep]]:
        rv.seed(1)
        models = [network() for _ in range(2)]
        return [(m, rv.TrainStep(m, nn.CrossEntropyLoss(), optim.Adam(lr=1e-2))) for m in models]

    def run(step: rv.TrainStep, seed: int) -> None:
        for x, y in batches(6, rows=17 + seed, seed=seed):
            step(x, y)

    alone, together = make(), make()
    for seed, (_, step) in enumerate(alone):
        run(step, seed)
    threads = [threading.Thread(target=run, args=(step, seed)) for seed, (_, step) in enumerate(together)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for (model_a, step_a), (model_b, step_b) in zip(alone, together, strict=True):
        assert_same_bits(
            {**model_a.state_dict(), **step_a.state_dict()}, {**model_b.state_dict(), **step_b.state_dict()}
        )


def test_one_model_serves_several_threads() -> None:
    model = network().eval()
    inputs = [x for x, _ in batches(4, rows=9)]
    expected = [model(x) for x in inputs]
    wrong: list[int] = []

    def serve(i: int) -> None:
        wrong.extend(i for _ in range(20) if model(inputs[i]).tobytes() != expected[i].tobytes())

    threads = [threading.Thread(target=serve, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: optim.SGD(0.1, momentum=0.9, nesterov=True),
        lambda: optim.Adam(lr=lambda i: 1e-2 / (1 + i), amsgrad=True),
        lambda: optim.AdamW(),
        lambda: optim.SGD(0.1),
    ],
)
def test_a_resumed_run_continues_with_the_same_bits(
    optimizer: Callable[[], optim.Optimizer], tmp_path: Any
) -> None:
    data = batches(7)
    rv.seed(2)
    model = network()
    step = rv.TrainStep(model, nn.CrossEntropyLoss(), optimizer())
    for x, y in data[:3]:
        step(x, y)
    rv.save(tmp_path / "model.safetensors", model)
    rv.save(tmp_path / "step.safetensors", step)
    expected = [step(x, y) for x, y in data[3:]]
    expected_state = step.state_dict()

    rv.seed(77)
    resumed = network()
    again = rv.TrainStep(resumed, nn.CrossEntropyLoss(), optimizer())
    again(*data[0])  # a state that loading has to replace
    resumed.load_state_dict(rv.load(tmp_path / "model.safetensors"))
    again.load_state_dict(rv.load(tmp_path / "step.safetensors"))
    assert again.steps == 3
    assert [again(x, y) for x, y in data[3:]] == expected
    assert_same_bits(model.state_dict(), resumed.state_dict())
    assert_same_bits(expected_state, again.state_dict())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("random.seed"), "random.seed"),
        (lambda d: d.update(extra=np.zeros(1)), "extra"),
        (lambda d: d.pop("optimizer.steps"), "missing key optimizer.steps"),
        (lambda d: d.pop("optimizer.weight.step"), "missing key optimizer.weight.step"),
        (lambda d: d.update({"optimizer.weight.momentum_buffer": np.zeros(3)}), r"shape \(3,\)"),
        (lambda d: d.pop("optimizer.weight.momentum_buffer"), "missing key optimizer.weight.momentum_buffer"),
        (lambda d: d.update({"optimizer.weight.exp_avg": np.zeros((2, 3))}), "unexpected key optimizer.weig"),
        (
            lambda d: d.update({"optimizer.other.momentum_buffer": np.zeros(3)}),
            "unexpected key optimizer.oth",
        ),
    ],
)
def test_a_wrong_state_is_refused_and_changes_nothing(change: Any, message: str) -> None:
    step = rv.TrainStep(nn.Linear(3, 2), nn.MSELoss(), optim.SGD(0.1, momentum=0.9))
    step(np.ones((4, 3)), np.ones((4, 2)))
    before = step.state_dict()
    broken = {name: array + 1 for name, array in before.items()}
    change(broken)
    with pytest.raises(ValueError, match=message):
        step.load_state_dict(broken)
    assert_same_bits(step.state_dict(), before)


def test_frozen_parameters_stay_and_thawed_ones_move() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    step = rv.TrainStep(model, nn.MSELoss(), optim.Adam(lr=0.1))
    x, y = np.ones((4, 3)), np.ones((4, 2))
    step(x, y)
    before = model.state_dict()
    model[0].requires_grad_(False)
    step(x, y), step(x, y)
    after = model.state_dict()
    assert after["0.weight"].tobytes() == before["0.weight"].tobytes()
    assert after["2.weight"].tobytes() != before["2.weight"].tobytes()
    # The state of frozen parameters waits for them, and their step with it.
    assert step.state_dict()["optimizer.0.weight.step"] == 1
    assert step.state_dict()["optimizer.2.weight.step"] == 3
    model[0].weight.requires_grad = True
    step(x, y)
    assert model.state_dict()["0.weight"].tobytes() != before["0.weight"].tobytes()
    assert model.state_dict()["0.bias"].tobytes() == before["0.bias"].tobytes()
    assert step.state_dict()["optimizer.0.weight.step"] == 2


def test_parameters_the_loss_does_not_use_are_left_alone() -> None:
    class Partly(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = nn.Linear(3, 2), nn.Linear(3, 2)

        def forward(self, x):
            return self.used(x)

    model = Partly()
    before = model.state_dict()
    step = rv.TrainStep(model, nn.MSELoss(), optim.SGD(0.1, weight_decay=0.5))
    step(np.ones((4, 3)), np.ones((4, 2)))
    assert model.state_dict()["unused.weight"].tobytes() == before["unused.weight"].tobytes()
    assert model.state_dict()["used.weight"].tobytes() != before["used.weight"].tobytes()


def test_hyperparameters_may_change_between_steps() -> None:
    def run(change: Callable[[optim.SGD], None] | None, first: optim.SGD) -> bytes:
        rv.seed(0)
        model = nn.Linear(3, 2)
        step = rv.TrainStep(model, nn.MSELoss(), first)
        for i in range(4):
            if i == 2 and change:
                change(first)
            step(np.ones((4, 3)), np.ones((4, 2)))
        assert first.current_lr == first.lr_at(3)
        return model.state_dict()["weight"].tobytes()

    rates = [0.1, 0.1, 0.01, 0.01]
    assert run(lambda o: setattr(o, "lr", 0.01), optim.SGD(0.1)) == run(
        None, optim.SGD(lr=lambda i: rates[i])
    )
    # momentum on from step 2: another structure of state
    run(lambda o: setattr(o, "momentum", 0.9), optim.SGD(0.1))
    with pytest.raises(ValueError, match="weight_decay"):
        optim.SGD(0.1).weight_decay = float("nan")
    with pytest.raises(AttributeError, match="momentun"):
        optim.SGD(0.1).momentun = 0.9  # type: ignore[attr-defined]


def test_a_program_for_each_shape_and_mode() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 2))
    step = rv.TrainStep(model, nn.MSELoss(), optim.SGD(0.1))
    x, y = np.ones((4, 3)), np.ones((4, 2))
    step(x, y), step(x, y), step(x[:3], y[:3])
    assert len(step.programs()) == 2
    model.eval()
    step(x, y)
    assert len(step.programs()) == 3
    assert "sgd" in step.programs()[0].describe()


def test_loss_and_output_are_from_before_the_update() -> None:
    model = network().eval()
    step = rv.TrainStep(model, nn.CrossEntropyLoss(), optim.SGD(0.1))
    x, y = batches(1)[0]
    expected = model(x)
    loss, output = step.with_output(x, y)
    np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(loss, ops.cross_entropy(expected, y).item(), rtol=1e-5)
    assert isinstance(loss, float)


def test_several_inputs_and_a_function_as_loss() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 1), nn.Embedding(5, 1)

        def forward(self, x, i):
            return self.a(x) + self.b(i)

    step = rv.TrainStep(Two(), lambda out, target: ops.mse_loss(out, target), optim.Adam(lr=0.1))
    x, i, y = np.ones((4, 3)), np.array([0, 1, 2, 2]), np.array([[1.0], [2.0], [3.0], [3.0]])
    losses = [step((x, i), y) for _ in range(100)]
    assert losses[-1] < 0.05 < losses[0]


def test_conversion_between_steps_keeps_the_optimizer_state() -> None:
    model = nn.Linear(3, 2)
    step = rv.TrainStep(model, nn.MSELoss(), optim.SGD(0.1, momentum=0.9))
    x, y = np.ones((4, 3)), np.ones((4, 2))
    step(x, y)
    kept = step.state_dict()["optimizer.weight.momentum_buffer"]
    model.double()
    step(x, y)
    state = step.state_dict()
    assert state["optimizer.weight.momentum_buffer"].dtype == np.float64
    assert state["optimizer.weight.step"] == 2
    assert np.isfinite(kept).all() and model(x).dtype == np.float64


def test_gradients_agree_with_differences() -> None:
    rv.seed(0)
    model = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    x, y = np.random.default_rng(0).standard_normal((4, 3)), np.array([0, 1, 1, 0])
    loss = rv.value_and_grad(lambda m, x, y: ops.cross_entropy(m(x), y), model)
    value, gradients = loss(x, y)
    assert value == pytest.approx(ops.cross_entropy(model(x), y).item(), rel=1e-12)
    for name, parameter in model.named_parameters():
        for index in np.ndindex(*parameter.shape):
            kept = parameter.data[index]
            parameter.data[index] = kept + 1e-6
            above = loss(x, y)[0]
            parameter.data[index] = kept - 1e-6
            below = loss(x, y)[0]
            parameter.data[index] = kept
            assert gradients[name][index] == pytest.approx((above - below) / 2e-6, abs=1e-8), name
    assert len(loss.programs()) == 1  # type: ignore[attr-defined]


def test_hessian_of_a_quadratic_is_its_matrix() -> None:
    a = np.array([[2.0, 1.0, 0.0], [1.0, 3.0, -1.0], [0.0, -1.0, 4.0]])
    product = rv.hvp(lambda x: 0.5 * (x * ops.matmul(a, x)).sum())
    columns = [product(np.zeros(3), unit) for unit in np.eye(3)]
    np.testing.assert_allclose(np.stack(columns), a, atol=1e-12)


@pytest.mark.parametrize("training", [True, False])
def test_hessian_vector_product_of_a_convolutional_net_is_a_difference_of_gradients(training: bool) -> None:
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.GELU(), nn.AvgPool2d(2),
        nn.Conv2d(4, 4, 3, groups=4), nn.GroupNorm(2, 4), nn.Tanh(), nn.MaxPool2d(2, 1), nn.Flatten(),
        nn.LayerNorm(4), nn.Linear(4, 3),
    ).double().train(training)  # fmt: skip
    generator = np.random.default_rng(0)
    x, y = generator.standard_normal((5, 2, 8, 8)), np.array([0, 1, 2, 1, 0])
    vectors = {name: generator.standard_normal(p.shape) for name, p in model.named_parameters()}

    def loss(m: nn.Module, x: Any, y: Any) -> Any:
        return ops.cross_entropy(m(x), y, label_smoothing=0.1)

    def shifted(h: float) -> dict[str, np.ndarray]:
        for name, p in model.named_parameters():
            p.data[...] += h * vectors[name]
        gradients = gradient(x, y)[1]
        for name, p in model.named_parameters():
            p.data[...] -= h * vectors[name]
        return gradients

    gradient = rv.value_and_grad(loss, model)
    product = rv.hvp(loss, model)(x, y, vectors)
    above, below = shifted(1e-5), shifted(-1e-5)
    for name, actual in product.items():
        expected = (above[name] - below[name]) / 2e-5
        np.testing.assert_allclose(
            actual, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max(), err_msg=name
        )


def test_gradients_keep_the_structure_of_the_first_argument() -> None:
    value, gradients = rv.value_and_grad(lambda p, s: (p["a"] * p["b"][0]).sum() * s)(
        {"a": np.array([1.0, 2.0]), "b": [np.array([3.0, 4.0])]}, 2.0
    )
    assert value == 22.0
    np.testing.assert_array_equal(gradients["a"], [6, 8])
    np.testing.assert_array_equal(gradients["b"][0], [2, 4])


def test_frozen_and_unused_parameters_in_value_and_grad() -> None:
    model = nn.Linear(2, 1)
    model.bias.requires_grad = False
    _, gradients = rv.value_and_grad(lambda m, x: (m.weight * 0 + x).sum(), model)(np.ones((1, 2)))
    assert list(gradients) == ["weight"]
    np.testing.assert_array_equal(gradients["weight"], [[0, 0]])


def test_eager_runs_the_same_step() -> None:
    def run(eager: bool) -> tuple[dict[str, np.ndarray], list[float]]:
        rv.seed(1)
        model = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(400, 3)
        ).double()
        step = rv.TrainStep(model, nn.CrossEntropyLoss(), optim.Adam(lr=0.01))
        data = batches(3, rows=5)
        if eager:
            with rv.eager(check_nan=True):
                losses = [step(x, y % 3) for x, y in data]
        else:
            losses = [step(x, y % 3) for x, y in data]
        return model.state_dict(), losses

    (compiled, losses), (eager, eager_losses) = run(False), run(True)
    np.testing.assert_allclose(eager_losses, losses, rtol=1e-9)
    for name, array in compiled.items():
        np.testing.assert_allclose(eager[name], array, rtol=1e-6, atol=1e-8, err_msg=name)


def test_eager_tensors_show_their_numbers() -> None:
    seen: list[Any] = []

    class Probe(nn.Module):
        def forward(self, x):
            y = x * 2
            seen.extend([float(y.sum()), repr(y), bool((y > 1)[0]), np.asarray(y).tolist()])
            return y

    with rv.eager():
        result = Probe()(np.array([1.0, 2.0]))
    assert isinstance(result, np.ndarray)
    assert seen == [6.0, "tensor([2., 4.], dtype=float32)", True, [2.0, 4.0]]


def test_eager_finds_a_nan_where_it_arises() -> None:
    class Bad(nn.Module):
        def forward(self, x):
            y = x - 2.0
            return ops.relu(ops.log(y) * 3.0)

    model = Bad()
    with rv.eager(check_nan=True), pytest.raises(FloatingPointError, match="log"):
        model(np.array([1.0, 5.0]))
    assert np.isnan(nn.Identity()(np.array([np.nan]))).all()


def test_dropout_draws_anew_repeats_after_seed_and_scales() -> None:
    model = nn.Dropout(0.25)
    x = np.ones((200, 200), "float32")
    rv.seed(5)
    first, second = model(x), model(x)
    rv.seed(5)
    np.testing.assert_array_equal(model(x), first)
    assert (first != second).any()
    assert set(np.unique(first)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs((first == 0).mean() - 0.25) < 0.01
    np.testing.assert_array_equal(model.eval()(x), x)
    # a layer's mask in the gradient is the mask of its forward pass
    step_out, gradient = rv.value_and_grad(lambda t: model.train()(t).sum())(np.ones(1000, "float32"))
    assert gradient.sum() == pytest.approx(step_out, rel=1e-5)
    channels = nn.Dropout2d(0.5)(np.ones((50, 20, 2, 2), "float32"))
    assert ((channels.reshape(1000, 4) == 0).sum(1) % 4 == 0).all()
