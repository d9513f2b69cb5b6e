from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Callable
from operator import attrgetter

import jax
import jax.numpy as jnp
import numpy as np

from ..workloads import Workload

# Images are NHWC and filters HWIO here, which XLA's CPU backend prefers.


def modes(workload: Workload) -> list[str]:
    if workload.is_update and workload.optimizer not in UPDATES:
        return ["jit"] if workload.optimizer in OPTAX and importlib.util.find_spec("optax") else []
    lacks = workload.is_sequential or workload.is_table or workload.is_trial
    return [] if lacks else ["jit"]


def version() -> str:
    return jax.__version__


def dense(x, layer):
    return x @ layer["w"] + layer["b"]


def conv(x, w, stride=1):
    return jax.lax.conv_general_dilated(
        x, w, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def batch_norm(x, layer):
    if "mean" in layer:  # inference
        mean, variance = layer["mean"], layer["variance"]
    else:
        axes = tuple(range(x.ndim - 1))
        mean = x.mean(axes)
        variance = jnp.square(x - mean).mean(axes)
    y = (x - mean) * jax.lax.rsqrt(variance + 1e-5) * layer["gamma"] + layer["beta"]
    return y, (mean, variance)


class Builder:
    """Draws parameters as the network asks for them; for inference running statistics too."""

    def __init__(self, inference: bool) -> None:
        self.inference = inference
        self.random = np.random.default_rng(0)

    def normal(self, *shape: int, fan_in: int):
        return jnp.asarray(self.random.standard_normal(shape, dtype=np.float32) * fan_in**-0.5)

    def dense(self, before: int, after: int):
        return {"w": self.normal(before, after, fan_in=before), "b": jnp.zeros(after)}

    def conv(self, before: int, after: int, size: int):
        return self.normal(size, size, before, after, fan_in=before * size * size)

    def norm(self, channels: int):
        layer = {"gamma": jnp.ones(channels), "beta": jnp.zeros(channels)}
        if self.inference:
            layer |= {"mean": jnp.zeros(channels), "variance": jnp.ones(channels)}
        return layer

    def block(self, before: int, channels: int, stride: int):
        block = {
            "conv1": self.conv(before, channels, 3),
            "bn1": self.norm(channels),
            "conv2": self.conv(channels, channels, 3),
            "bn2": self.norm(channels),
        }
        if stride != 1 or before != channels:
            block |= {"shortcut": self.conv(before, channels, 1), "bn3": self.norm(channels)}
        return block


def mlp(workload: Workload):
    builder = Builder(workload.inference)
    sizes = workload.sizes
    parameters = {
        "dense": [builder.dense(a, b) for a, b in itertools.pairwise(sizes)],
        "norm": [builder.norm(n) for n in sizes[1:-1]] if workload.batch_norm else [],
    }

    def forward(parameters, x):
        statistics = []
        for i, layer in enumerate(parameters["dense"][:-1]):
            x = dense(x, layer)
            if parameters["norm"]:
                x, moments = batch_norm(x, parameters["norm"][i])
                statistics.append(moments)
            x = jax.nn.relu(x)
        return dense(x, parameters["dense"][-1]), statistics

    return parameters, forward


def max_pool(x):
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def lenet(workload: Workload):
    builder = Builder(workload.inference)
    parameters = {
        "conv": [builder.conv(1, 32, 3), builder.conv(32, 64, 3)],
        "norm": [builder.norm(32), builder.norm(64)],
        "dense": [builder.dense(3136, 128), builder.dense(128, 10)],
    }

    def forward(parameters, x):
        statistics = []
        for w, norm in zip(parameters["conv"], parameters["norm"], strict=True):
            x, moments = batch_norm(conv(x, w), norm)
            statistics.append(moments)
            x = max_pool(jax.nn.relu(x))
        x = jax.nn.relu(dense(x.reshape(x.shape[0], -1), parameters["dense"][0]))
        return dense(x, parameters["dense"][1]), statistics

    return parameters, forward


def resnet18(workload: Workload):
    builder = Builder(workload.inference)
    w = workload.width
    shapes = [(w, w, 1), (w, w, 1)]
    for channels in (2 * w, 4 * w, 8 * w):
        shapes += [(channels // 2, channels, 2), (channels, channels, 1)]
    parameters = {
        "stem": builder.conv(3, w, 3),
        "norm": builder.norm(w),
        "blocks": [builder.block(*shape) for shape in shapes],
        "dense": builder.dense(8 * w, 10),
    }

    def forward(parameters, x):
        statistics = []

        def norm(x, layer):
            y, moments = batch_norm(x, layer)
            statistics.append(moments)
            return y

        x = jax.nn.relu(norm(conv(x, parameters["stem"]), parameters["norm"]))
        for block, (_, _, stride) in zip(parameters["blocks"], shapes, strict=True):
            shortcut = norm(conv(x, block["shortcut"], stride), block["bn3"]) if "shortcut" in block else x
            y = jax.nn.relu(norm(conv(x, block["conv1"], stride), block["bn1"]))
            x = jax.nn.relu(norm(conv(y, block["conv2"]), block["bn2"]) + shortcut)
        return dense(x.mean((1, 2)), parameters["dense"]), statistics

    return parameters, forward


def sgd(state, gradients):
    parameters, velocity, t = state
    velocity = jax.tree.map(lambda v, g: 0.9 * v + g, velocity, gradients)
    parameters = jax.tree.map(lambda p, v, g: p - 0.01 * (g + 0.9 * v), parameters, velocity, gradients)
    return parameters, velocity, t + 1


def adam(state, gradients):
    parameters, (m, v), t = state
    t = t + 1
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, gradients)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, gradients)
    c1, c2 = 1 - 0.9**t, 1 - 0.999**t
    parameters = jax.tree.map(lambda p, m, v: p - 1e-3 / c1 * m / (jnp.sqrt(v / c2) + 1e-8), parameters, m, v)
    return parameters, (m, v), t


UPDATES = {"sgd": sgd, "adam": adam}


def initial_state(workload: Workload, parameters):
    """(parameters, slots, number of steps)"""

    def zeros():
        return jax.tree.map(jnp.zeros_like, parameters)

    return parameters, (zeros(), zeros()) if workload.optimizer == "adam" else zeros(), jnp.zeros(())


# The rules of optax, by the names of Ravine's; those it lacks are missing.
OPTAX = {
    "SGD": "sgd", "Rprop": "rprop", "Lion": "lion", "LARS": "lars", "Adam": "adam", "AdamW": "adamw",
    "Adamax": "adamax", "NAdam": "nadam", "RAdam": "radam", "AdaBelief": "adabelief", "Yogi": "yogi",
    "Adan": "adan", "LAMB": "lamb", "Adagrad": "adagrad", "Adadelta": "adadelta", "RMSprop": "rmsprop",
    "Adafactor": "adafactor", "ScheduleFreeSGD": "contrib.schedule_free_sgd",
    "ScheduleFreeAdamW": "contrib.schedule_free_adamw", "Muon": "contrib.muon",
}  # fmt: skip


def prepare_optax(workload: Workload) -> Callable[[], float]:
    import optax

    rule = attrgetter(OPTAX[workload.optimizer])(optax)(learning_rate=1e-3)
    values, gradients = ([jnp.asarray(array) for array in arrays] for arrays in workload.parameters())
    held = jax.tree.map(jnp.copy, (values, rule.init(values)))  # donated: no array may stand there twice

    def update(held, gradients):
        parameters, state = held
        updates, state = rule.update(gradients, state, parameters)
        return optax.apply_updates(parameters, updates), state

    compiled = jax.jit(update, donate_argnums=0)

    def step() -> float:
        nonlocal held
        held = jax.block_until_ready(compiled(held, gradients))
        return 0.0

    return step


def prepare_update(workload: Workload) -> Callable[[], float]:
    if workload.optimizer not in UPDATES:
        return prepare_optax(workload)
    values, gradients = workload.parameters()
    held = initial_state(workload, [jnp.asarray(value) for value in values])
    gradients = [jnp.asarray(gradient) for gradient in gradients]
    compiled = jax.jit(UPDATES[workload.optimizer], donate_argnums=0)

    def step() -> float:
        nonlocal held
        held = jax.block_until_ready(compiled(held, gradients))
        return 0.0

    return step


def prepare(workload: Workload, mode: str, threads: int) -> Callable[[], float]:
    if workload.is_update:
        return prepare_update(workload)
    parameters, forward = {"mlp": mlp, "lenet": lenet, "resnet18": resnet18}[workload.net](workload)
    x, y = workload.data()
    x = jnp.asarray(x.transpose(0, 2, 3, 1) if workload.is_convolutional else x)
    y = jnp.asarray(y)
    if workload.inference:
        serve = jax.jit(lambda parameters, x: forward(parameters, x)[0])
        return lambda: float(serve(parameters, x)[0, 0])

    def loss_of(parameters, x, y):
        logits, statistics = forward(parameters, x)
        picked = jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1)
        return -picked.mean(), statistics

    def update_running(running, moments):
        return jax.tree.map(lambda old, new: 0.9 * old + 0.1 * new, running, moments)

    def train(state, running, x, y):
        (loss, moments), gradients = jax.value_and_grad(loss_of, has_aux=True)(state[0], x, y)
        state = UPDATES[workload.optimizer](state, gradients)
        return state, update_running(running, moments), loss

    running = jax.tree.map(jnp.zeros_like, forward(parameters, x)[1])
    held = [initial_state(workload, parameters), running]
    compiled = jax.jit(train, donate_argnums=(0, 1))

    def step() -> float:
        held[0], held[1], loss = compiled(held[0], held[1], x, y)
        return float(jax.block_until_ready((held[0], loss))[1])

    return step
