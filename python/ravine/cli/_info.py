"""`ravine info`."""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform

import numpy as np

import ravine as rv

_EXTRAS = {
    "sklearn": "data.digits, scikit-learn estimators",
    "matplotlib": "learning curves",
    "PIL": "image folders",
    "pandas": "frames",
    "tqdm": "progress bars",
    "tensorboardX": "TensorBoard",
}


def run_info(options: argparse.Namespace) -> int:
    cpu = rv.cpu_info()
    quota = cpu["cgroup_quota"]
    rows = {
        "ravine": rv.__version__,
        "Python": f"{platform.python_version()}, NumPy {np.__version__}, {platform.platform()}",
        "CPU": cpu["model"],
        "kernels": f"{cpu['isa']} (runs {', '.join(cpu['isas'])}; built {', '.join(cpu['compiled_isas'])})",
        "threads": f"{rv.get_num_threads()} ({cpu['cores']} cores, {cpu['affinity']} CPUs allowed, "
        + (f"quota {quota:g})" if quota > 0 else "no quota)"),
        "caches": ", ".join(f"L{level} {_size(cpu[f'l{level}_bytes'])}" for level in (1, 2, 3)),
        "variables": ", ".join(f"{name}={os.environ[name]}" for name in sorted(os.environ) if _ours(name))
        or "none set",
        "extras": ", ".join(
            f"{package} {'found' if importlib.util.find_spec(package) else 'missing'} ({purpose})"
            for package, purpose in _EXTRAS.items()
        ),
    }
    for name, value in rows.items():
        print(f"{name:<10} {value}")
    return 0


def _ours(name: str) -> bool:
    return name.startswith("RAVINE_") or name == "OMP_NUM_THREADS"


def _size(n_bytes: int) -> str:
    if n_bytes == 0:
        return "unknown"
    return f"{n_bytes / 2**20:g} MiB" if n_bytes >= 2**20 else f"{n_bytes / 2**10:g} KiB"
