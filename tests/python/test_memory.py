"""Memory of a process: programs of many batch sizes, what inference keeps, a training step beside torch's."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from running import RunPython

import ravine as rv
from ravine import nn

linux = pytest.mark.skipif("sys.platform != 'linux'", reason="memory is read from /proc")

MEMORY = """
import json
def mebibytes(field):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024
"""


def measured(run_python: RunPython, code: str, timeout: float = 300) -> dict[str, Any]:
    """What a fresh process prints as JSON at its end."""
    done = run_python("-c", MEMORY + code, timeout=timeout, OMP_NUM_THREADS="2")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def default_limits() -> Iterator[None]:
    yield
    rv.set_program_cache_size()


def conv_net() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1))


@linux
def test_a_reduction_copies_its_input_once(run_python: RunPython) -> None:
    result = measured(
        run_python,
        """
import numpy as np, ravine as rv
x = np.ones(2**26, np.uint8)
copies = {}
for name in ("sum", "mean", "prod", "amax", "max", "argmin"):
    reduction = getattr(rv.ops, name)
    reduction(x[:10])
    before = mebibytes("VmHWM")
    assert reduction(x).numpy() == (2**26 if name == "sum" else 0 if name == "argmin" else 1)
    copies[name] = (mebibytes("VmHWM") - before) / 64
print(json.dumps(copies))
""",
    )
    assert result["sum"] > 0.5  # measured at all; the others find its memory free again
    assert max(result.values()) < 1.5, result


@linux
@pytest.mark.parametrize("limit", ["3", "64, max_bytes=30_000_000"])
def test_changing_batch_sizes_do_not_grow_memory(run_python: RunPython, limit: str) -> None:
    result = measured(
        run_python,
        f"""
import numpy as np, ravine as rv
from ravine import nn, optim
rv.set_program_cache_size({limit})
layers = nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 10, 3, padding=1), nn.Flatten()
model = nn.Sequential(*layers)
step = rv.TrainStep(model, lambda y, t: (y * t).mean(), optim.SGD(lr=0.0))
total = 0
def use(batch):
    global total
    x = np.zeros((batch, 3, 32, 32), np.float32)
    step(x, np.zeros((batch, 10240), np.float32))
    model(x)
    total += (step.programs()[-1].arena_bytes + model._programs.programs()[-1].arena_bytes) / 2**20
def arenas():
    return sum(p.arena_bytes for p in step.programs() + model._programs.programs()) / 2**20
for batch in range(60, 66):
    use(batch)
before, arenas_before = mebibytes("VmRSS"), arenas()
for batch in range(66, 100):
    use(batch)
growth, of_arenas = mebibytes("VmRSS") - before, arenas() - arenas_before
print(json.dumps(dict(growth=growth, of_arenas=of_arenas, total=total, kept=len(step.programs()))))
""",
    )
    assert result["total"] > 500  # MiB, had every program stayed
    # Larger batches have larger arenas, each of whole huge pages.
    assert result["growth"] < result["of_arenas"] + 40
    assert result["kept"] <= 3


@pytest.mark.filterwarnings("ignore:.*was compiled for:UserWarning")  # as it should, of so few
def test_the_least_recently_used_program_is_dropped(default_limits: None) -> None:
    model = conv_net()

    def use(batch: int) -> None:
        model(np.zeros((batch, 3, 8, 8), np.float32))

    def kept() -> list[int]:
        texts = [program.describe() for program in model._programs.programs()]
        return [int(text.split("float32 (")[1].split(",")[0]) for text in texts]

    rv.set_program_cache_size(3)
    for batch in (1, 2, 3, 1, 4):
        use(batch)
    assert kept() == [3, 1, 4]
    sizes = {batch: model._programs.programs()[i].arena_bytes for i, batch in enumerate(kept())}
    use(2)
    sizes[2] = model._programs.programs()[-1].arena_bytes
    assert kept() == [1, 4, 2]
    rv.set_program_cache_size(64, max_bytes=sizes[2] + sizes[3])
    use(3)
    assert kept() == [2, 3]
    rv.set_program_cache_size(64, max_bytes=0)
    use(5)
    assert kept() == [5]


def test_limits_that_are_none_are_refused(default_limits: None) -> None:
    with pytest.raises(ValueError, match=r"a positive integer is expected, got 0"):
        rv.set_program_cache_size(0)
    with pytest.raises(ValueError, match=r"max_bytes must be an integer of 0 or more, got -1"):
        rv.set_program_cache_size(5, max_bytes=-1)


@linux
def test_programs_of_many_batch_sizes_share_what_inference_keeps(run_python: RunPython) -> None:
    result = measured(
        run_python,
        """
import numpy as np, ravine as rv
model = rv.nn.Sequential(rv.nn.Conv2d(512, 512, 3, padding=1)).eval()
def use(batch):
    model(np.zeros((batch, 512, 8, 8), np.float32))
use(8)
text = model._programs.programs()[-1].describe()
before = mebibytes("VmRSS")
for batch in range(9, 19):
    use(batch)
arenas = sum(program.arena_bytes for program in model._programs.programs()[1:]) / 2**20
print(json.dumps(dict(text=text, growth=mebibytes("VmRSS") - before - arenas)))
""",
    )
    assert "kept   winograd_filter" in result["text"]
    kept = int(result["text"].split("winograd_filter float32 (")[1].split(",")[0]) * 4 / 2**20
    assert kept > 15  # MiB
    assert result["growth"] < kept


RESNET_STEP = """
import sys
sys.path.insert(0, {repository!r})
from bench.python import engines
from bench.python.workloads import find
engine = engines.load({engine!r})
before = mebibytes("VmRSS")
step = engine.prepare(find("r18"), {mode!r}, 2)
for _ in range(2):
    step()
print(json.dumps(dict(imported=before, peak=mebibytes("VmHWM"))))
"""


@linux
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs torch")
def test_the_peak_of_a_resnet_step_is_below_torchs(run_python: RunPython, repository: Any) -> None:
    """ResNet-18 for 32x32 images, batch 64, torch in its thriftier layout."""

    def peak(engine: str, mode: str) -> dict[str, Any]:
        return measured(
            run_python, RESNET_STEP.format(repository=str(repository), engine=engine, mode=mode), timeout=300
        )

    own, other = peak("ravine", "default"), peak("torch", "channels_last")
    assert own["peak"] > 300  # MiB: parameters, momentum and activations are there
    assert own["peak"] <= other["peak"]
    assert own["peak"] - own["imported"] <= other["peak"] - other["imported"]


@linux
@pytest.mark.parametrize("dtype", ["uint8", "bool", "int32"])
@pytest.mark.parametrize(
    "code",
    ["ops.sum(x)", "ops.sum(x, 0)", "ops.sum(x, 1)", "ops.sum(x, (0, 2))", "ops.prod(x, 1)", "ops.mean(x)",
     "ops.mean(x, 1, dtype='float64')", "ops.sum(x, dtype='float32')"],
)  # fmt: skip
def test_sums_of_integers_copy_nothing(run_python: RunPython, code: str, dtype: str) -> None:
    """An array of 64 MiB is read where it lies: neither copied nor widened to 8 bytes an element."""
    grown = measured(
        run_python,
        f"""
import numpy as np, ravine as rv
from ravine import ops
x = np.ones((64, 1024, (64 << 20) // 65536 // np.dtype("{dtype}").itemsize), "{dtype}")
class Reduce(rv.nn.Module):
    def forward(self, x):
        return {code}
reduce = Reduce()
reduce(x[:1])
before = mebibytes("VmHWM")
result = reduce(x)
print(json.dumps({{"grown": mebibytes("VmHWM") - before}}))
""",
    )
    assert grown["grown"] < 8
