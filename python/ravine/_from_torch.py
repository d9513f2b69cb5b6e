"""What PyTorch users type first and Ravine does in another way: an attribute that is absent says how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_GRADIENTS = "rv.TrainStep(model, loss, optimizer) does forward, backward and update in one call"

PACKAGE = {
    "no_grad": "leave it out: gradients are only computed by rv.TrainStep and rv.value_and_grad",
    "inference_mode": "nothing is needed in its place: a module called on arrays computes no gradients",
    "tensor": "hand NumPy arrays to models and steps",
    "from_numpy": "hand NumPy arrays to models and steps",
    "set_default_dtype": "model.to('float64') converts a model",
    "device": "there is one device, the CPU: leave it out",
    "cuda": "Ravine runs on CPUs only",
    "Adam": "optimizers are in rv.optim",
    "Module": "it is rv.nn.Module",
    "DataLoader": "rv.data.Batches(x, y, batch_size=64, shuffle=True) gives mini-batches of arrays",
    "TensorDataset": "hand the arrays to rv.data.Batches(x, y, batch_size=64)",
}

MODULE = {
    "cuda": "Ravine runs on CPUs only: leave it out",
    "cpu": "every model is on the CPU: leave it out",
    "half": "models compute in float32 or float64; float16 weights are converted when loaded",
    "bfloat16": "models compute in float32 or float64; bfloat16 weights are converted when loaded",
    "zero_grad": "gradients are not kept between steps, so there is nothing to clear: leave it out",
    "register_forward_pre_hook": "change the inputs in forward; register_forward_hook shows them",
    "register_backward_hook": "it is register_full_backward_hook",
    "share_memory": "train in threads: two steps may run at once in one process",
}

TENSOR = {
    "backward": _GRADIENTS + "; rv.value_and_grad(fn, model)(x, y) gives gradients",
    "grad": "rv.value_and_grad(fn, model)(x, y) gives gradients",
    "requires_grad": "gradients are asked for by rv.value_and_grad and rv.TrainStep, not marked on tensors",
    "requires_grad_": "gradients are asked for by rv.value_and_grad and rv.TrainStep, not marked on tensors",
    "retain_grad": "rv.value_and_grad(fn)(x) gives the gradient of an input",
    "cuda": "Ravine runs on CPUs only: leave it out",
    "device": "there is one device, the CPU",
    "data_ptr": "tensor.numpy() gives the numbers",
}

OPTIMIZER = {
    "step": "the update is part of the training step: loss = rv.TrainStep(model, loss, optimizer)(x, y)",
    "zero_grad": "gradients are not kept between steps, so there is nothing to clear: leave it out",
    "param_groups": "set optimizer.lr; parameters with numbers of their own are groups=[optim.Group(...)]",
    "add_param_group": "give groups=[optim.Group(...)] to the optimizer",
    "state_dict": "the state belongs to the training step: step.state_dict()",
    "load_state_dict": "the state belongs to the training step: step.load_state_dict(state)",
}

UTILS = {
    "clip_grad_norm_": "give the bound to the optimizer: optim.Adam(lr=1e-3, clip_global_norm=1.0)",
    "clip_grad_value_": "give the bound to the optimizer: optim.Adam(lr=1e-3, clip_value=0.5)",
    "parameters_to_vector": "numpy.concatenate([p.data.ravel() for p in model.parameters()])",
    "vector_to_parameters": "write into parameter.data[...] of each of model.parameters()",
}

LR_SCHEDULER = {
    "StepLR": "optim.SGD(lr=optim.schedules.StepDecay(...))",
    "MultiStepLR": "optim.SGD(lr=optim.schedules.MultiStep(...))",
    "ConstantLR": "optim.SGD(lr=optim.schedules.Constant(...))",
    "LinearLR": "optim.SGD(lr=optim.schedules.Linear(...))",
    "ExponentialLR": "optim.SGD(lr=optim.schedules.Exponential(...))",
    "PolynomialLR": "optim.SGD(lr=optim.schedules.Polynomial(...))",
    "CosineAnnealingLR": "optim.SGD(lr=optim.schedules.Cosine(...))",
    "CosineAnnealingWarmRestarts": "optim.SGD(lr=optim.schedules.CosineRestarts(...))",
    "CyclicLR": "optim.SGD(lr=optim.schedules.Cyclic(...))",
    "OneCycleLR": "optim.SGD(lr=optim.schedules.OneCycle(...))",
    "ReduceLROnPlateau": "optim.SGD(lr=optim.schedules.ReduceOnPlateau(...))",
    "SequentialLR": "schedules are added one behind the other: Warmup(0.1, 500) + Cosine(0.1, 9500)",
    "ChainedScheduler": "schedules are multiplied: optim.schedules.Product(...)",
    "LambdaLR": "lr takes any function of the step: optim.SGD(lr=lambda step: 0.1 / (1 + step))",
    "MultiplicativeLR": "lr takes any function of the step: optim.SGD(lr=lambda step: 0.1 * 0.95**step)",
    "LRScheduler": "lr takes any function of the step, and the schedules of optim.schedules",
}


def absent(owner: str, name: str, ways: Mapping[str, str], known: Iterable[str] = ()) -> AttributeError:
    """The error for an attribute that `owner` does not have, with our way or the nearest names."""
    if name in ways:
        return AttributeError(f"{owner} has no attribute {name!r}: {ways[name]}")
    from difflib import get_close_matches  # slow to import, and rarely needed

    near = get_close_matches(name, list(known), n=3)
    hint = f"; did you mean {' or '.join(near)}?" if near and not name.startswith("_") else ""
    return AttributeError(f"{owner} has no attribute {name!r}{hint}")


def is_device(x: Any) -> bool:
    """Whether `x` names a device as PyTorch's users do: "cpu", "cuda:0", a torch.device."""
    name = str(x) if isinstance(x, str) or type(x).__name__ == "device" else ""
    return name.split(":")[0] in ("cpu", "cuda", "mps", "xpu", "meta")


def check_device(owner: str, device: Any) -> None:
    """Accepts None and the CPU; raises ValueError for every other device."""
    if device is not None and str(device).split(":")[0] != "cpu":
        raise ValueError(f"{owner}: the only device is 'cpu', got {device!r}: leave the argument out")
