"""Short forms of the commands in tests/ that take long."""

from __future__ import annotations

import re
from pathlib import Path


def test_kills_and_full_disks_do_not_change_a_bit(repository: Path, run_python) -> None:
    script = str(repository / "tests" / "kill_training.py")
    done = run_python(script, "--kills", "3", "--fills", "4")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.match(r"\d+ kills, \d+ fills, \d+ updates, \d+ arrays, 0 differ \[\]", done.stdout)
    assert done.stderr.count("File too large: ") >= 4


def test_memory_stays_flat_over_many_fits(repository: Path, run_python) -> None:
    script = str(repository / "tests" / "soak_training.py")
    done = run_python(script, "--steps", "2500")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 are allowed" in done.stdout
