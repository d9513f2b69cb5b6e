"""Ravine trains neural networks on multicore CPUs: models in Python, programs of C++ kernels underneath."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _core, init, nn, ops, optim
from ._from_torch import PACKAGE, absent
from ._grad import hvp, value_and_grad
from ._random import seed
from ._step import TrainStep
from ._threads import cpu_info, get_num_threads, set_num_threads, threads
from .record import Scalar, Tensor, compile, eager, set_conv_precision, set_program_cache_size

if TYPE_CHECKING:
    __version__: str
    from . import data, diagnostics, models, preprocessing, sklearn, train
    from ._export import LoadedModel, LoadedStep, export, load_model, load_step
    from ._io import load, load_metadata, save
    from ._minimize import MinimizeResult, minimize
    from .ensemble import Ensemble, EnsembleStep
    from .train import Trainer

# Loaded when first used, so that `import ravine` stays cheap.
_LAZY_MODULES = ("data", "diagnostics", "models", "preprocessing", "sklearn", "train")
_LAZY_NAMES = {
    "Ensemble": "ensemble",
    "EnsembleStep": "ensemble",
    "LoadedModel": "_export",
    "LoadedStep": "_export",
    "MinimizeResult": "_minimize",
    "Trainer": "train",
    "export": "_export",
    "load": "_io",
    "load_metadata": "_io",
    "load_model": "_export",
    "load_step": "_export",
    "minimize": "_minimize",
    "save": "_io",
}

__all__ = [
    "Ensemble",
    "EnsembleStep",
    "LoadedModel",
    "LoadedStep",
    "MinimizeResult",
    "Scalar",
    "Tensor",
    "TrainStep",
    "Trainer",
    "__version__",
    "compile",
    "cpu_info",
    "data",
    "diagnostics",
    "eager",
    "export",
    "get_num_threads",
    "hvp",
    "init",
    "load",
    "load_metadata",
    "load_model",
    "load_step",
    "minimize",
    "models",
    "nn",
    "ops",
    "optim",
    "preprocessing",
    "save",
    "seed",
    "set_conv_precision",
    "set_num_threads",
    "set_program_cache_size",
    "sklearn",
    "threads",
    "train",
    "value_and_grad",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _LAZY_MODULES:
        return import_module(f"{__name__}.{name}")
    if name == "__version__":
        return _core.__version__
    if name in _LAZY_NAMES:
        return getattr(import_module(f"{__name__}.{_LAZY_NAMES[name]}"), name)
    if name == "manual_seed":
        return seed
    raise absent(f"module {__name__!r}", name, PACKAGE, __all__)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
