"""The engines: each has `modes(workload)` and `prepare(workload, mode, threads)`, which returns one step.

A step is a function that trains on the same batch and returns its loss as a Python float, so that lazy
engines finish their work.
"""

from __future__ import annotations

import importlib
import importlib.util

# Name of the engine's file here, and the package it needs.
ENGINES = {
    "ravine": "ravine",
    "torch": "torch",
    "jax": "jax",
    "keras": "tensorflow",
    "sklearn": "sklearn",
}


def installed() -> list[str]:
    return [name for name, package in ENGINES.items() if importlib.util.find_spec(package) is not None]


def load(name: str):
    return importlib.import_module(f"{__package__}.{name}_engine")
