"""Memory that there is not: a MemoryError with the size; the run goes on afterwards to the same bits."""

from __future__ import annotations

import json
import re
import sys

import pytest
from running import RunPython

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="address spaces are limited by means of Linux"
)

# Of each action: forked children whose address space may grow by so much try it; then the limit goes and they
# train on. What they print is what the action raised, and a digest of everything at the end.
CHILDREN = """
import hashlib, json, os, resource, signal, sys
import numpy as np, ravine as rv
from ravine import nn, optim

def address_space():
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmSize")) * 1024

rng = np.random.default_rng(0)
x, y = rng.normal(size=(6000, 192)).astype(np.float32), rng.integers(0, 10, 6000)

def new_trainer():
    layers = nn.Linear(192, 300), nn.BatchNorm1d(300), nn.ReLU(), nn.Dropout(0.2), nn.Linear(300, 10)
    optimizer = optim.Adam(lr=1e-3, accumulate=2, clip_norm=1.0)
    return rv.Trainer(nn.Sequential(*layers), nn.CrossEntropyLoss(), optimizer, ["accuracy"])

def fit(trainer, n, batch_size, epochs):
    trainer.fit(x[:n], y[:n], batch_size=batch_size, epochs=epochs, seed=1, verbose=0)

def digest(trainer):
    states = trainer.model.state_dict() | trainer.step.state_dict()
    return hashlib.sha256(b"".join(states[name].tobytes() for name in sorted(states))).hexdigest()

trainer = new_trainer()
fit(trainer, 512, 64, 1)
turned = np.ones((1000, 1000))[:, ::-1]  # which is copied
wide, ones = nn.Linear(1200, 1200), np.ones((2, 1200), np.float32)
folder = sys.argv[1]
rv.save(folder + "/wide", {"wide": np.ones((1000, 1000))})
trainer.save(folder + "/checkpoint")
files = sorted(os.listdir(folder))
ACTIONS = {
    "a step": lambda: trainer.step(x, y),
    "a prediction": lambda: trainer.predict(x, batch_size=6000),
    "an evaluation": lambda: trainer.evaluate(x, y, batch_size=6000),
    "a fit": lambda: fit(trainer, 6000, 6000, 2),
    "saving": lambda: rv.save(folder + "/other", {"turned": turned}),
    "a new optimizer": lambda: rv.TrainStep(wide, nn.MSELoss(), optim.Adam())(ones, ones),
    "weights": lambda: rv.load(folder + "/wide"),
    "an order": lambda: rv._core.permutation(1 << 20, 0),
}

def attempt(action, most):
    said = None
    resource.setrlimit(resource.RLIMIT_AS, (address_space() + most, resource.RLIM_INFINITY))
    try:
        action()
    except BaseException as error:
        said = f"{type(error).__name__}: {error}"
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    left = sorted(set(os.listdir(folder)) - set(files))
    for name in left:
        os.remove(folder + "/" + name)
    if said is None:  # what succeeded may have trained
        return said, "", []
    fit(trainer, 512, 64, 2)
    return said, digest(trainer), left

def in_child(action, most):
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(30)
            os.write(sending, json.dumps(attempt(action, most)).encode())
        finally:
            os._exit(0)
    os.close(sending)
    with open(receiving) as pipe:
        told = pipe.read()
    _, status = os.waitpid(child, 0)
    return json.loads(told) if told else [f"ended with status {status}", "", []]

def nothing():
    raise ValueError

told = {name: [in_child(action, most << 10) for most in (0, 64, 256, 1024, 2048, 3072)]
        for name, action in ACTIONS.items()}
print(json.dumps({"expected": in_child(nothing, 1 << 30)[1], "told": told}))
"""


def test_a_run_without_memory_goes_on_when_there_is_some(run_python: RunPython, tmp_path) -> None:
    # One heap of the C library, which leaves large arrays to the system: it has nothing to spare.
    heap = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "1000000"}
    done = run_python("-c", CHILDREN, str(tmp_path), OMP_NUM_THREADS="2", **heap)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    for name, outcomes in result["told"].items():
        refused = [(said, digest, left) for said, digest, left in outcomes if said is not None]
        assert refused, name
        for said, digest, left in refused:
            assert re.match(r"MemoryError: .*\d (bytes|B|[KMG]iB)", said), (name, said)
            assert digest == result["expected"], (name, said)
            assert left == [], (name, said)
    arena = result["told"]["a step"][0][0]
    assert re.fullmatch(r"MemoryError: out of memory: a program's arena .* needs \d+\.\d MiB", arena)
    slots = result["told"]["a new optimizer"][0][0]
    assert re.fullmatch(
        r"MemoryError: out of memory: an array float32 of shape \(1200, 1200\) needs 5.5 MiB", slots
    )
