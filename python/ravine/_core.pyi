"""
Ravine's engine: graphs, programs, kernels. The package `ravine` is its public face.
"""

from __future__ import annotations

import collections.abc
from typing import Any

import numpy as np

__all__ = [
    "Array",
    "Calls",
    "CurvaturePairs",
    "Dependence",
    "Description",
    "Generator",
    "Graph",
    "LoadedModel",
    "LoadedStep",
    "Lock",
    "ModelStates",
    "Origin",
    "Plateau",
    "PreparedUpdate",
    "Program",
    "RandomState",
    "Schedule",
    "Stage",
    "TrainState",
    "Value",
    "Watch",
    "augment",
    "check_hyper",
    "copies_of",
    "cpu_info",
    "dot",
    "draw_seed",
    "fill_normal",
    "fill_trunc_normal",
    "fill_uniform",
    "get_num_threads",
    "largest_magnitude",
    "load_safetensors",
    "mix",
    "next_use",
    "op_names",
    "optimizer_rule",
    "optimizer_rules",
    "optimizer_slots",
    "orthogonal",
    "permutation",
    "pop_threads",
    "push_threads",
    "run_afterwards",
    "safetensors_metadata",
    "save_safetensors",
    "seed",
    "serve_known_calls",
    "set_adaptive_teams",
    "set_exact_convolutions",
    "set_isa",
    "set_num_threads",
    "set_poison",
    "solve_positive_definite",
    "stage_names",
    "symmetric_eigen",
    "use_generator",
]

class Lock:
    """
    For one thread at a time; one that is inside gets a RuntimeError.
    """
    def __init__(self, what: str) -> None: ...
    def __enter__(self): ...
    def __exit__(self, *exception): ...

class Watch:
    """
    Versions of weakly referenced objects, and modes of those that are
    modules (else None), to be compared by identity.
    """
    def __init__(self, references: list[Any], versions: list[int], modes: list[bool | None]) -> None: ...

class Calls:
    """
    The newest calls of one owner, and the programs that serve them.
    With a lock, one call runs at a time.
    """
    def __init__(self, lock: Lock | None) -> None: ...
    def forget(self) -> None:
        """
        Forgets all calls.
        """
    def remember(
        self,
        arguments: tuple[Any, ...],
        program: Program,
        watches: tuple[Watch, ...],
        guards: tuple[Any, ...],
        before: tuple[Any, ...],
        result: Any,
        held: list[np.ndarray],
    ) -> None:
        """
        Lets a program serve calls on such arrays, and on the same objects besides, while the watches are
        the same and the guards hold.
        `before` is called before each run; `result` makes of the list of outputs what `run` returns, None
        returns the only one, and float the only one as a number; `held` is read behind the arguments.
        """
    def run(self, arguments: tuple[Any, ...]) -> Any:
        """
        Runs the program of such a call, if one is known and serves; else returns NotImplemented.
        """
    def uses(self) -> list[tuple[Program, int]]:
        """
        The programs that are known, each with the number of its newest use here.
        """

class Array:
    """
    State that outlives programs: 64-byte aligned memory of a dense tensor.
    """
    def __init__(self, array: np.ndarray, channels_last: bool = False) -> None: ...
    def numpy(self) -> np.ndarray:
        """
        A writable view that shares and keeps the memory.
        """
    @property
    def channels_last(self) -> bool: ...
    @property
    def dtype(self) -> str: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def shape(self) -> tuple[int, ...]: ...

class RandomState:
    """
    Seed and step of a program's random numbers; every run that draws advances the step.
    """
    def __init__(self, seed: int) -> None: ...
    @property
    def seed(self) -> int: ...
    @seed.setter
    def seed(self, value: int) -> None: ...
    @property
    def step(self) -> int: ...
    @step.setter
    def step(self, value: int) -> None: ...

class Generator:
    """
    Random numbers for initialisation and shuffling.
    """
    def __init__(self, seed: int) -> None: ...

class CurvaturePairs:
    """
    The inverse Hessian H of limited-memory BFGS.
    """
    def __init__(self, dtype: str, most: int) -> None: ...
    def add(self, s: np.ndarray, y: np.ndarray) -> bool:
        """
        Adds a step and the change of the gradient; False where their curvature is not above rounding.
        """
    def clear(self) -> None: ...
    def direction(self, g: np.ndarray) -> np.ndarray:
        """
        -H g.
        """

class Value:
    """
    A symbolic tensor of a graph.
    """
    def numpy(self) -> np.ndarray:
        """
        The value, where it is known: constants, and everything in an eager graph.
        """
    @property
    def dtype(self) -> str: ...
    @property
    def graph(self) -> Graph: ...
    @property
    def id(self) -> int: ...
    @property
    def op(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...

class Origin:
    """
    A module and a part of a step.
    """

class Graph:
    """
    A recording of operations.
    """
    def __init__(
        self, eager: bool = False, check_nan: bool = False, random: RandomState | None = None
    ) -> None: ...
    def apply(
        self, op: str, inputs: collections.abc.Sequence[Value], attrs: dict[str, Any] = {}
    ) -> list[Value]: ...
    def assign(self, array: Array, value: Value) -> None: ...
    def begin_update(self) -> None:
        """
        Nodes recorded from now on belong to the update of parameters.
        """
    def constant(self, array: np.ndarray) -> Value: ...
    def enter(self, path: str) -> None:
        """
        Nodes recorded from now on belong to the module of this path.
        """
    def gradients(self, output: Value, wrt: collections.abc.Sequence[Value]) -> list[Value]: ...
    def guard(self, loss: Value) -> None:
        """
        Leaves the effects recorded from here on out of runs in which the loss is NaN or infinite.
        """
    def input(
        self,
        shape: collections.abc.Sequence[int],
        dtype: str,
        name: str = "",
        value: np.ndarray | None = None,
    ) -> Value: ...
    def state(self, array: Array, name: str = "") -> Value: ...
    @property
    def differentiating(self) -> int:
        """
        The node whose gradient was computed last; -1: none.
        """
    @property
    def effects_refused(self) -> bool: ...
    @property
    def first_infinite(self) -> tuple[int, str] | None:
        """
        Of an eager graph that looks for NaN: the first node, and its operation, that made an infinity.
        """
    @property
    def n_nodes(self) -> int: ...
    @property
    def origin(self) -> Origin:
        """
        The module and the part of a step that recorded nodes belong to.
        """
    @origin.setter
    def origin(self, value: Origin) -> None: ...

class Dependence:
    """
    Which values of a graph depend on some of them.
    """
    def __init__(self, graph: Graph, on: collections.abc.Sequence[Value]) -> None: ...
    def of(self, value: Value) -> bool: ...

class Schedule:
    """
    A number as a function of the step.
    """
    @staticmethod
    def of_function(
        function: collections.abc.Callable, steps: int | None = None, text: str = "a function of the step"
    ) -> Schedule:
        """
        A function of Python, which is asked once a step.
        """
    def __init__(
        self,
        formula: str,
        numbers: collections.abc.Sequence[float],
        children: collections.abc.Sequence[Schedule] = [],
        text: str = "",
    ) -> None: ...
    def at(self, step: int) -> float: ...
    def value(self, step: int) -> float:
        """
        Without the check of the end.
        """
    @property
    def foreign(self) -> bool:
        """
        Whether a function of Python takes part.
        """
    @property
    def steps(self) -> int | None: ...

class Plateau(Schedule):
    """
    A schedule that falls as a metric stops improving.
    """
    def __init__(
        self,
        schedule: Schedule,
        maximize: bool,
        factor: float,
        patience: int,
        threshold: float,
        relative: bool,
        cooldown: int,
        min_value: float,
    ) -> None: ...
    def update(self, metric: float) -> None: ...
    @property
    def state(self) -> tuple[float, int, int, int]:
        """
        (best, bad, cooling, reductions)
        """
    @state.setter
    def state(self, value: tuple[float, int, int, int]) -> None: ...

class Stage:
    """
    What happens to gradients before the rule.
    """
    def __init__(self, name: str, numbers: dict, label: str) -> None: ...

class Description:
    """
    An optimizer: stages and a rule, with all their numbers.
    """
    def __init__(
        self,
        owner: str,
        rule: str,
        groups: collections.abc.Iterable,
        stages: collections.abc.Sequence[Stage],
        average: Schedule | None = None,
        slow: Schedule | None = None,
    ) -> None:
        """
        groups: [([(name, label, number or Schedule)], whether all its parameters decay)].
        """

class PreparedUpdate:
    """
    The gradients behind the stages.
    """
    @property
    def updates(self) -> bool:
        """
        Whether the call makes an update.
        """

class TrainState:
    """
    The state of a training run.
    """
    def __init__(self, description: Description, random: RandomState) -> None: ...
    def ask(self) -> None:
        """
        Asks functions of Python for the numbers of the next run.
        """
    def averages(self, parameters: collections.abc.Sequence[tuple[str, Array, int]]) -> dict: ...
    def bind(self, parameters: collections.abc.Sequence[tuple[str, Array, int]]) -> None:
        """
        [(name, array, group)]: makes these the trained ones.
        """
    def describe(self, description: Description) -> None: ...
    def load_state_dict(
        self,
        state: collections.abc.Mapping[str, np.ndarray],
        parameters: collections.abc.Sequence[tuple[str, Array, int]],
    ) -> None: ...
    def prepare(
        self,
        graph: Graph,
        gradients: collections.abc.Sequence[Value],
        gradients_at: collections.abc.Callable | None = None,
        weight: Value | None = None,
    ) -> PreparedUpdate:
        """
        Records the stages, and all that may refuse the step.
        """
    def prepare_gathered(self, graph: Graph) -> PreparedUpdate:
        """
        The same of an update that ends an accumulation early.
        """
    def refuse_runs(self, on: bool) -> bool:
        """
        Whether runs raise from now on, after the one under way; returns whether they did.
        """
    def state_dict(self) -> dict: ...
    def update(self, graph: Graph, prepared: PreparedUpdate) -> None:
        """
        Records the rule.
        """
    @property
    def draws(self) -> bool: ...
    @property
    def foreign(self) -> bool: ...
    @property
    def gathered(self) -> int: ...
    @property
    def generation(self) -> int:
        """
        Changes whenever programs recorded before refuse to run.
        """
    @property
    def gradient_norm(self) -> float | None: ...
    @property
    def keeps_average(self) -> bool: ...
    @property
    def looks_elsewhere(self) -> bool: ...
    @property
    def lr(self) -> float | None: ...
    @property
    def phase(self) -> tuple[bool, bool]: ...
    @property
    def skipped(self) -> int: ...
    @property
    def steps(self) -> int: ...

class Program:
    """
    A compiled graph.
    """
    def __init__(
        self,
        graph: Graph,
        outputs: collections.abc.Sequence[Value],
        random: RandomState | None = None,
        keep_derived: bool = False,
    ) -> None: ...
    def describe(self) -> str:
        """
        The compiled program as a table.
        """
    def profile(self, inputs: collections.abc.Sequence[np.ndarray], runs: int, threads: int = 0) -> dict:
        """
        The seconds of each call, in turns with whole runs; states are as before then.
        """
    def run(self, inputs: collections.abc.Sequence[np.ndarray]) -> list[np.ndarray]: ...
    @property
    def arena_bytes(self) -> int: ...
    @property
    def isa(self) -> str: ...
    @property
    def kernels(self) -> list[str]: ...
    @property
    def n_calls(self) -> int: ...
    @property
    def refused(self) -> bool:
        """
        Whether a guard left the effects out of the newest run.
        """

class ModelStates:
    """
    The arrays that exported graphs read and write.
    """
    def __init__(
        self,
        arrays: collections.abc.Sequence[tuple[str, Array]],
        keys: collections.abc.Sequence[tuple[str, int]],
    ) -> None:
        """
        [(tensor, Array)], and [(name, number of the array)] of the model's state_dict.
        """

class LoadedModel:
    """
    A model of a file.
    """
    @staticmethod
    def load(path: bytes) -> LoadedModel: ...
    def __init__(
        self,
        samples: collections.abc.Sequence[
            tuple[
                int,
                Graph,
                collections.abc.Sequence[Value],
                collections.abc.Sequence[tuple[Array, Value]],
                collections.abc.Mapping[int, tuple[float, int, int]],
            ]
        ],
        states: ModelStates,
        least: int | None,
        random: RandomState,
        notes: str,
    ) -> None:
        """
        Of recordings at several sizes of the batch, for all from `least` on; None: of one, for its size.
        """
    def load_state_dict(self, state: collections.abc.Mapping[str, np.ndarray]) -> None: ...
    def predict(self, arrays: collections.abc.Sequence[np.ndarray]) -> list: ...
    def save(self, path: bytes) -> None: ...
    def state_dict(self) -> dict: ...
    @property
    def by_examples(self) -> bool:
        """
        Whether the examples stand along the first axis of all inputs and outputs.
        """
    @property
    def inputs(self) -> list[tuple[str, str]]: ...
    @property
    def n_outputs(self) -> int: ...
    @property
    def notes(self) -> str: ...

class LoadedStep:
    """
    A training step of a file.
    """
    @staticmethod
    def load(path: bytes) -> LoadedStep: ...
    def __init__(
        self,
        samples: collections.abc.Sequence[
            tuple[
                int,
                Graph,
                collections.abc.Sequence[Value],
                collections.abc.Sequence[tuple[Array, Value]],
                collections.abc.Mapping[int, tuple[float, int, int]],
            ]
        ],
        states: ModelStates,
        least: int | None,
        random: RandomState,
        part_names: collections.abc.Sequence[str],
        counted: bool,
        trained: collections.abc.Sequence[
            tuple[
                str,
                TrainState,
                collections.abc.Sequence[tuple[str, collections.abc.Sequence[str]]],
                collections.abc.Sequence[tuple[str, Array, int, bool]],
                tuple[
                    int,
                    Graph,
                    collections.abc.Sequence[Value],
                    collections.abc.Sequence[tuple[Array, Value]],
                    collections.abc.Mapping[int, tuple[float, int, int]],
                ]
                | None,
                collections.abc.Sequence[tuple[str, Plateau]],
                collections.abc.Mapping[str, np.ndarray],
            ]
        ],
        model: LoadedModel,
        notes: str,
    ) -> None: ...
    def finish_accumulation(self) -> bool: ...
    def hyper(self, trained: int) -> list[tuple[str, float | None]]: ...
    def load_state_dict(self, state: collections.abc.Mapping[str, np.ndarray]) -> None: ...
    def report(self, metric: float) -> None: ...
    def save(self, path: bytes) -> None: ...
    def set_hyper(self, name: str, number: float, trained: int) -> None: ...
    def state_dict(self) -> dict: ...
    def step(self, arrays: collections.abc.Sequence[np.ndarray]) -> float: ...
    @property
    def has_model(self) -> bool: ...
    @property
    def inputs(self) -> list[tuple[str, str]]: ...
    @property
    def loss_parts(self) -> list[tuple[str, float]]: ...
    @property
    def model(self) -> LoadedModel: ...
    @property
    def notes(self) -> str: ...
    @property
    def skipped(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def trained(self) -> list[str]: ...

def augment(
    images: np.ndarray,
    rows: np.ndarray,
    changes: collections.abc.Sequence[tuple[str, collections.abc.Sequence[float]]],
    out_height: int,
    out_width: int,
    seed: int,
    first: int,
) -> np.ndarray:
    """
    Images taken by index and changed at random, without the GIL.
    """

def check_hyper(rule: str, hyper: collections.abc.Mapping[str, float]) -> None:
    """
    Raises ValueError where numbers do not go together.
    """

def copies_of(arrays: collections.abc.Sequence[Array]) -> list:
    """
    Copies of the numbers: beside threads that train, all of one step.
    """

def cpu_info() -> dict[str, Any]: ...
def dot(a: np.ndarray, b: np.ndarray) -> float:
    """
    The inner product in float64, in an order that depends on the length alone.
    """

def draw_seed() -> int: ...
def fill_normal(array: Array, mean: float, std: float) -> None: ...
def fill_trunc_normal(array: Array, mean: float, std: float, low: float, high: float) -> None: ...
def fill_uniform(array: Array, low: float, high: float) -> None: ...
def get_num_threads() -> int: ...
def largest_magnitude(x: np.ndarray) -> float:
    """
    The largest |x|; NaN where there is one.
    """

def load_safetensors(path: bytes) -> dict[str, np.ndarray]: ...
def mix(
    images: np.ndarray, partners: np.ndarray, shares: np.ndarray, boxes: np.ndarray | None = None
) -> np.ndarray:
    """
    Images with parts of others of the same batch.
    """

def next_use() -> int:
    """
    A number above those of all uses of programs so far.
    """

def op_names() -> list[str]: ...
def optimizer_rule(name: str) -> tuple[dict[str, tuple[float, float, float, bool]], dict[str, str | None]]:
    """
    ({hyperparameter: (default, least, below, is a flag)}, {slot: the hyperparameter it needs or None}).
    """

def optimizer_rules() -> list[str]: ...
def optimizer_slots(name: str, shape: collections.abc.Sequence[int]) -> dict[str, tuple[int, ...]]:
    """
    {slot: its shape for a parameter of this shape}, of those it has.
    """

def orthogonal(rows: int, columns: int, seed: int) -> np.ndarray: ...
def permutation(n: int, seed: int) -> np.ndarray: ...
def pop_threads() -> None: ...
def push_threads(n: int) -> None: ...
def run_afterwards(graph: Graph, program: Program) -> None:
    """
    Runs a program without inputs and outputs after each run of the graph's whose effects took place.
    """

def safetensors_metadata(path: bytes) -> dict[str, str]: ...
def save_safetensors(
    path: bytes, tensors: dict[str, np.ndarray], metadata: collections.abc.Mapping[str, str] = {}
) -> None: ...
def seed(seed: int) -> None: ...
def serve_known_calls(on: bool) -> bool:
    """
    Whether `Calls.run` runs programs in this thread from now on; returns whether it did.
    """

def set_adaptive_teams(on: bool) -> None:
    """
    For tests: off, and programs run on as many threads as are set while other processes want them too.
    """

def set_exact_convolutions(exact: bool) -> None:
    """
    For programs compiled from now on.
    """

def set_isa(isa: str) -> None:
    """
    For tests: the instruction set of programs compiled from now on.
    """

def set_num_threads(n: int) -> None: ...
def set_poison(on: bool) -> None:
    """
    For tests: every run first fills its temporary memory with NaN.
    """

def solve_positive_definite(matrix: np.ndarray, b: np.ndarray) -> np.ndarray | None:
    """
    The solution of matrix x = b; None where the matrix is not positive definite.
    """

def stage_names() -> list[str]: ...
def symmetric_eigen(matrix: np.ndarray) -> tuple:
    """
    Eigenvalues, ascending, and eigenvectors in the columns of a symmetric matrix [n, n].
    """

def use_generator(own: Generator) -> Generator:
    """
    Makes this thread draw from a generator that lives on, or the process's (None); returns the one before.
    """

__version__: str = "0.1.0"
