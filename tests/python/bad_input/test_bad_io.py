"""Files and state dicts: bad inputs are refused, and nothing changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from refusals import LINEAR, STEP, TEXT, Case, check

import ravine as rv

CASES: list[Case] = [
    (lambda: rv.save(5, LINEAR), TypeError, "save: expected a path and a model, a training step or a dict"),
    (lambda: rv.save("/nowhere/x", LINEAR), FileNotFoundError, "No such file or directory: '/nowhere/x'"),
    (lambda: rv.save("/dev/null", LINEAR), ValueError, "'/dev/null' is a character device, expected a"),
    (lambda: rv.save(".", LINEAR), IsADirectoryError, "Is a directory: '.'"),
    (lambda: rv.save("x", {"a": object()}), TypeError, "save: a: an array of dtype object cannot be used,"),
    (lambda: rv.save("x", {1: np.ones(1)}), TypeError, "save: a name must be a text, got 1"),
    (lambda: rv.save("x", {"": np.ones(1)}), ValueError, "safetensors: a tensor's name is empty"),
    (lambda: rv.save("x", {"a": np.ones(1)}, {"k": 1}), TypeError, "save: metadata['k'] must be a text, got"),
    (lambda: rv.load(TEXT), ValueError, "'text' is not a valid safetensors file, or is truncated: a"),
    (lambda: rv.load("/nowhere"), FileNotFoundError, "No such file or directory: '/nowhere'"),
    (lambda: rv.load("."), IsADirectoryError, "Is a directory: '.'"),
    (lambda: rv.load(5), TypeError, "expected str, bytes or os.PathLike object, not int"),
    (lambda: rv.load_metadata(TEXT), ValueError, "'text' is not a valid safetensors file, or is truncated:"),
    (lambda: LINEAR.load_state_dict({}), ValueError, "load_state_dict for Linear: missing keys: weight,"),
    (lambda: LINEAR.load_state_dict({"weight": np.ones((1, 2)), "bias": np.ones(2)}),
     ValueError, "load_state_dict for Linear: misshaped: bias: shape (2,) in the"),
    (lambda: LINEAR.load_state_dict({"weight": np.ones((1, 2)), "bias": np.ones(1), "more": np.ones(1)}),
     ValueError, "load_state_dict for Linear: unexpected keys: more"),
    (lambda: LINEAR.load_state_dict({"weight": [["a", "b"]], "bias": np.ones(1)}),
     ValueError, "load_state_dict for Linear: wrong values: weight: dtype <U1 in"),
    (lambda: LINEAR.load_state_dict(5), TypeError, "load_state_dict for Linear: a dict of names and arrays"),
    (lambda: STEP.load_state_dict({}), ValueError, "load_state_dict of Adam: missing key optimizer.steps;"),
    (lambda: STEP.load_state_dict({"x": np.ones(1)}), ValueError, "load_state_dict of TrainStep: unexpected"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_bad_input_is_refused(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check(case, str(tmp_path))
