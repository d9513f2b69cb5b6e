"""What a host meets that trains in its own process: fork, signals, the end of the process, its settings."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

import ravine as rv
from ravine import nn, optim

# A step, a model and a function, with inputs for which they run for some milliseconds, all compiled.
PARTS = """
import os, signal, sys, threading, time, warnings
import numpy as np, ravine as rv
from ravine import nn, optim
rv.set_num_threads(2)
def network():
    hidden = [nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU()]
    return nn.Sequential(*hidden, nn.Linear(512, 8))
model, other = network(), network()
step = rv.TrainStep(model, nn.CrossEntropyLoss(), optim.Adam(lr=1e-4))
other_step = rv.TrainStep(other, nn.CrossEntropyLoss(), optim.SGD(lr=1e-3))
gradient = rv.value_and_grad(lambda m, x: (m(x) ** 2).mean(), other)
x, y = np.ones((256, 256), np.float32), np.zeros(256, np.int64)
step(x, y), other_step(x, y), model(x), other(x), gradient(x)
"""


def run(run_python, code: str, timeout: float = 60.0, **variables: str) -> str:
    result = run_python("-c", PARTS + code, timeout=timeout, **variables)
    assert result.returncode == 0, (result.returncode, result.stdout[-2000:], result.stderr[-2000:])
    return result.stdout


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")


@needs_fork
@pytest.mark.parametrize(
    "busy",
    [
        "step(x, y)",
        "model(x)",
        "gradient(x)",
        "step.state_dict()",
        "rv.save(path, {'x': x})",
        "model(x[:n()])",
    ],
)
def test_a_child_uses_what_another_thread_was_using_when_it_was_forked(run_python, tmp_path, busy) -> None:
    code = f"""
path, child_path = {str(tmp_path / "a.safetensors")!r}, {str(tmp_path / "b.safetensors")!r}
count = 0
def n():  # every shape is compiled
    global count
    count += 1
    return 1 + count % 255
def loop():
    while True: {busy}
threading.Thread(target=loop, daemon=True).start()
for i in range(6):
    time.sleep(0.02 + 0.003 * i)
    child = os.fork()
    if child == 0:
        signal.alarm(30)  # kills a child that hangs
        loss = step(x, y)
        model(x), model(x[:100 + i]), gradient(x), step.state_dict()
        rv.save(child_path, step.state_dict())
        os._exit(0 if np.isfinite(loss) and len(rv.load(child_path)) > 10 else 1)
    assert os.waitpid(child, 0)[1] == 0, i
os._exit(0)
"""
    run(run_python, code, timeout=120)


@needs_fork
def test_a_child_forked_inside_of_forward_still_refuses_the_step_that_it_is_in(run_python) -> None:
    code = """
class Forks(nn.Module):
    def forward(self, x):
        global child
        child = os.fork()
        if child == 0:
            try: inner(x, y)
            except RuntimeError as error: assert "TrainStep is running in this thread" in str(error)
            else: os._exit(1)
        return model(x)
inner = rv.TrainStep(Forks(), lambda output, y: output.sum(), optim.SGD(lr=0.0))
inner.model.part = model
inner(x, y)
if child == 0:
    inner(x, y)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    run(run_python, code)


HANDLER = """
seen = []
def later(): signal.setitimer(signal.ITIMER_REAL, 0.01)  # once, so that no handler interrupts another
def handler(*_):
    try: {call}
    except RuntimeError as error: seen.append(str(error))
    else: seen.append("ran")
    later()
signal.signal(signal.SIGALRM, handler)
later()
end = time.monotonic() + 20
while len(seen) < 20 and time.monotonic() < end: {busy}
signal.setitimer(signal.ITIMER_REAL, 0)
assert len(seen) >= 20, seen
"""


def test_a_signal_handler_cannot_call_the_step_that_it_interrupts(run_python) -> None:
    for call in ("step(x, y)", "step.with_output(x, y)", "step.state_dict()"):
        # Which runs Python code behind the program; `step(x, y)` is over when a handler begins.
        code = HANDLER.format(call=call, busy="step.with_output(x, y)")
        refused = run(run_python, code + "print([s for s in seen if s != 'ran'][0])\nstep(x, y)")
        assert "TrainStep is running in this thread" in refused
        assert "set a flag" in refused


@pytest.mark.parametrize(
    ("call", "busy"),
    [
        ("other_step(x, y)", "step(x, y)"),
        ("other(x)", "model(x)"),
        ("model(x)", "model(x)"),  # between two runs of its program
        ("gradient(x)", "step(x, y)"),
        ("other.state_dict()", "model(x)"),
    ],
)
def test_a_signal_handler_may_call_others(run_python, call, busy) -> None:
    run(run_python, HANDLER.format(call=call, busy=busy) + "assert set(seen) == {'ran'}, seen")


def test_workers_leave_signals_to_the_host(run_python) -> None:
    code = """
for _ in range(3): step(x, y)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGUSR2])
for number in (signal.SIGUSR1, signal.SIGUSR2):
    os.kill(os.getpid(), number)
    assert signal.sigwait([number]) == number
"""
    run(run_python, code, OPENBLAS_NUM_THREADS="1")  # NumPy's own threads would take them


@pytest.mark.parametrize(
    "busy",
    ["step(x, y)", "model(x)", "step(x.astype(np.float64), y)", "rv.save(path, {'x': x})", "gradient(x)"],
)
def test_the_process_may_end_while_daemon_threads_run(run_python, tmp_path, busy) -> None:
    code = f"""
path = {str(tmp_path / "a.safetensors")!r}
def loop():
    while True: {busy}
for _ in range(2): threading.Thread(target=loop, daemon=True).start()
time.sleep(0.1)
"""
    for _ in range(3):
        run(run_python, code)


def test_threads_share_a_step_and_a_model(run_python) -> None:
    code = """
bag = []
def train():
    for _ in range(20): bag.append(step(x, y))
def predict():
    for n in range(20): bag.append(float(model(x[:1 + n % 4]).sum()))
threads = [threading.Thread(target=f) for f in (train, predict, train, predict)]
for t in threads: t.start()
for t in threads: t.join()
assert len(bag) == 80 and np.isfinite(bag).all() and step.steps == 41
"""
    run(run_python, code)


THREADS = "import ravine as rv, warnings\nprint(rv.get_num_threads(), rv.get_num_threads())"


@pytest.mark.parametrize("value", ["abc", "0", "-1", "1e9", "2000", "3x", "4.5", ",2"])
def test_nonsense_in_omp_num_threads_is_left_out_with_one_warning(run_python, value) -> None:
    default = run_python("-c", THREADS, OMP_NUM_THREADS="")
    assert default.stderr == ""
    result = run_python("-c", THREADS, OMP_NUM_THREADS=value)
    assert result.stdout == default.stdout
    assert result.stderr.count("RuntimeWarning") == 1
    assert f"OMP_NUM_THREADS='{value}' is no number of threads from 1 to 1024" in result.stderr
    assert run_python("-c", THREADS, OMP_NUM_THREADS=value, RAVINE_NUM_THREADS="3").stderr == ""


@pytest.mark.parametrize(("value", "threads"), [("3", 3), (" 4 ", 4), ("5,2", 5), ("6 , 1", 6)])
def test_omp_num_threads(run_python, value, threads) -> None:
    result = run_python("-c", THREADS, OMP_NUM_THREADS=value)
    assert (result.stdout.split(), result.stderr) == ([str(threads)] * 2, "")


def test_nonsense_in_ravine_num_threads_is_an_error(run_python) -> None:
    result = run_python("-c", THREADS, RAVINE_NUM_THREADS="many")
    assert "RAVINE_NUM_THREADS='many': expected a number of threads from 1 to 1024" in result.stderr


def test_a_step_called_by_its_own_loss_is_refused_and_works_afterwards() -> None:
    x, y = np.ones((4, 3), np.float32), np.zeros(4, np.int64)
    calls = [True]

    def loss(output, target):
        if calls:
            calls.pop()
            step(x, y)
        return nn.CrossEntropyLoss()(output, target)

    step = rv.TrainStep(nn.Linear(3, 2), loss, optim.SGD(lr=0.1))
    with pytest.raises(RuntimeError, match="TrainStep is running in this thread"):
        step(x, y)
    assert step.steps == 0
    assert np.isfinite(step(x, y))


def test_the_quota_of_the_control_groups_is_shown() -> None:
    quota = rv.cpu_info()["cgroup_quota"]
    assert quota >= 0
    assert sys.platform != "linux" or quota == 0 or rv.cpu_info()["threads"] >= 1
