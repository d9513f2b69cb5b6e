"""The type of the fixture `run_python`, for annotations."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

RunPython = Callable[..., "subprocess.CompletedProcess[str]"]
