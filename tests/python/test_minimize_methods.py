"""Every method of `minimize` on the test functions, beside scipy.optimize."""

from __future__ import annotations

import statistics
import warnings
from typing import Any

import numpy as np
import pytest
from minimize_problems import FUNCTIONS, MGH, quadratic, rosenbrock

import ravine as rv

PROBLEMS = FUNCTIONS | MGH
# Ours, SciPy's, and SciPy's options: it ends at the same size of the gradient.
COUNTERPARTS = {
    "l-bfgs": ("L-BFGS-B", {"ftol": 0.0, "gtol": 1e-5, "maxiter": 20000, "maxfun": 20000}),
    "bfgs": ("BFGS", {"gtol": 1e-5, "maxiter": 20000}),
    "cg": ("CG", {"gtol": 1e-5, "maxiter": 20000}),
}


def of_scipy(method: str, name: str, options: dict[str, Any]) -> Any:
    """SciPy's result, from our function and gradient."""
    optimize = pytest.importorskip("scipy.optimize")
    problem = PROBLEMS[name]
    function = rv.value_and_grad(problem.function)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return optimize.minimize(
            lambda x: function(x), problem.start, jac=True, method=method, options=options
        )


def low_enough(result: rv.MinimizeResult, name: str) -> bool:
    """A stationary point to the tolerance, checked apart from the result."""
    _, gradient = rv.value_and_grad(PROBLEMS[name].function)(result.x)
    return result.success and float(np.abs(gradient).max()) <= 1e-5


# A Hessian of condition 1e16, in a valley where values near 1e9 fall to 88: rounding keeps the gradient above
# 1e-4 at the minimum itself.
MEYER = "Meyer"


def good_enough(ours: rv.MinimizeResult, theirs: Any, name: str) -> bool:
    """As low as SciPy's and stationary: of Meyer's function as far as rounding lets, and it says so."""
    # Points with a gradient of 1e-5 differ by as much.
    as_low = ours.fun <= theirs.fun + 1e-5 * max(1.0, abs(theirs.fun))
    says_why = ours.message.startswith(("the line search found no lower point", "converged to the precision"))
    return as_low and (low_enough(ours, name) or (name == MEYER and says_why))


@pytest.mark.parametrize("method", COUNTERPARTS)
def test_beside_scipy(method: str) -> None:
    """As good a minimum everywhere, and in the median at most 1.5 times SciPy's evaluations."""
    counterpart, options = COUNTERPARTS[method]
    ratios, worse = [], []
    for name, problem in PROBLEMS.items():
        theirs = of_scipy(counterpart, name, options)
        ours = rv.minimize(problem.function, problem.start, method=method, max_iterations=20000)
        ratios.append(ours.nfev / theirs.nfev)
        if not good_enough(ours, theirs, name):
            worse.append((name, ours.fun, theirs.fun, ours.message))
    assert not worse
    assert len(ratios) == 48 and statistics.median(ratios) <= 1.5


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("newton", {}),
        ("newton", {"saddle_free": True}),
        ("newton-cg", {}),
    ],
)
def test_newton_finds_a_minimum_of_every_function(method: str, options: dict[str, Any]) -> None:
    failed = []
    for name, problem in PROBLEMS.items():
        result = rv.minimize(problem.function, problem.start, method=method, **options)
        # Rosenbrock's function of more than 3 unknowns has a second minimum, near 4.
        known = of_scipy("BFGS", name, {"gtol": 1e-5}).fun
        second = name.startswith("Rosenbrock") and result.fun < 4
        better = result.fun <= known + 1e-5 * max(1.0, abs(known)) or second
        if name == MEYER:
            good = result.fun <= 1.0001 * known or (method == "newton-cg" and not result.success)
        else:
            good = low_enough(result, name) and better
        if not good:
            failed.append((name, result.fun, known, result.message))
    assert not failed


EASY = ["Himmelblau", "Beale", "Zakharov 2", "quadratic 10", "logistic regression", "discrete integral"]
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("gd", {}),
    ("gd", {"line_search": "strong-wolfe"}),
    ("cg", {"beta": "FR"}),
    ("cg", {"beta": "PR+"}),
    ("cg", {"beta": "HS", "restart": 5}),
    ("cg", {"powell": 0.1}),
    ("bfgs", {"line_search": "armijo"}),
    ("l-bfgs", {"line_search": "armijo"}),
    ("l-bfgs", {"memory": 2}),
    ("coordinate", {}),
    ("coordinate", {"order": "random", "seed": 3}),
    ("coordinate", {"order": "greedy"}),
    ("newton-cg", {"radius": 0.1, "max_radius": 10.0}),
    ("newton-cg", {"max_products": 3}),
    ("newton", {"radius": 0.1}),
    ("newton", {"damping": 1e-3}),
]


@pytest.mark.parametrize("name", EASY)
@pytest.mark.parametrize(("method", "options"), VARIANTS)
def test_variants(method: str, options: dict[str, Any], name: str) -> None:
    problem = PROBLEMS[name]
    best = of_scipy("BFGS", name, {"gtol": 1e-8}).fun
    result = rv.minimize(problem.function, problem.start, method=method, max_iterations=20000, **options)
    assert low_enough(result, name)
    assert result.fun <= best + 1e-6


@pytest.mark.parametrize("inner", ["gd", "cg", "bfgs", "l-bfgs", "newton", "newton-cg"])
def test_block_coordinate(inner: str) -> None:
    """Blocks of a vector by index, by slice and by mask."""
    problem = PROBLEMS["logistic regression"]
    mask = np.zeros(15, bool)
    mask[[1, 3]] = True
    result = rv.minimize(
        problem.function,
        problem.start,
        method="block-coordinate",
        blocks=[[0, 2], slice(4, 15), mask],
        inner=inner,
        inner_iterations=20,
    )
    assert low_enough(result, "logistic regression")
    best = rv.minimize(problem.function, problem.start, method="newton", gtol=1e-9)
    np.testing.assert_allclose(result.x, best.x, atol=1e-3)


def test_blocks_move_in_turn() -> None:
    """One sweep of exact minimisations by hand: f = (x y - 2)² + x²/2 + y²/2, quadratic in each."""

    def function(p: Any) -> Any:
        return ((p["x"] * p["y"] - 2) ** 2).sum() + 0.5 * (p["x"] ** 2).sum() + 0.5 * (p["y"] ** 2).sum()

    seen = []
    rv.minimize(
        function,
        {"x": np.array([1.0]), "y": np.array([3.0])},
        method="block-coordinate",
        blocks=["y", "x"],
        inner="newton",
        max_iterations=3,
        callback=lambda so_far: seen.append((so_far.x["x"][0], so_far.x["y"][0])) and False,
    )
    x, expected = 1.0, []
    for _ in range(3):
        y = 4 * x / (2 * x * x + 1)
        x = 4 * y / (2 * y * y + 1)
        expected.append((x, y))
    np.testing.assert_allclose(seen, expected, rtol=1e-12)


def product(p: Any) -> Any:
    return ((p["a"] * p["b"] - 1) ** 2).sum() + (p["c"] ** 2).sum()


ONES = {"a": np.full(2, 0.5), "b": np.full(2, 2.0), "c": np.ones(1)}
BAD_BLOCKS: list[tuple[Any, Any, Any, type[Exception], str]] = [
    (product, ONES, [["a", "b"]], ValueError, "no block has all of c; every unknown must be in one"),
    (
        product,
        ONES,
        ["a", ["b", "a"], "c"],
        ValueError,
        r"block 1, \['b', 'a'\], overlaps itself or one before",
    ),
    (product, ONES, ["a", "b", "d"], ValueError, "there is no 'd' for a block, expected some of a, b, c"),
    (product, ONES, [[0], [1]], TypeError, r"lists of their names, got \[0\]"),
    (rosenbrock, np.zeros(3), None, ValueError, "of one array needs blocks"),
    (rosenbrock, np.zeros(3), [[0, 1], [1, 2]], ValueError, r"block 1, .* overlaps"),
    (rosenbrock, np.zeros(3), [[0, 1], [3]], ValueError, r"block \[3\] is no index into shape \(3,\)"),
    (rosenbrock, np.zeros(3), [[0, 1], []], ValueError, r"block 1, \[\], is empty"),
]


@pytest.mark.parametrize(("fn", "start", "blocks", "kind", "message"), BAD_BLOCKS)
def test_bad_blocks(fn: Any, start: Any, blocks: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        rv.minimize(fn, start, method="block-coordinate", blocks=blocks)


def test_bad_inner_method() -> None:
    with pytest.raises(ValueError, match=r"inner must be one of gd, .*, got 'coordinate'"):
        rv.minimize(product, ONES, method="block-coordinate", inner="coordinate")
    with pytest.raises(ValueError, match="inner_iterations must be at least 1, got 0"):
        rv.minimize(product, ONES, method="block-coordinate", inner_iterations=0)


def test_blocks_of_a_model_are_names_of_its_modules() -> None:
    model = rv.nn.Sequential(rv.nn.Linear(3, 2), rv.nn.Linear(2, 1)).to("float64")
    x = np.random.default_rng(0).standard_normal((20, 3))
    loss = lambda model, x: ((model(x) - 1) ** 2).mean()  # noqa: E731
    result = rv.minimize(loss, model, (x,), method="block-coordinate", blocks=["1", "0"], inner="bfgs")
    assert result.success and result.fun < 1e-8


def test_gradient_descent_with_a_fixed_step() -> None:
    x = np.zeros(20)
    function = quadratic(20, 10.0)
    for _ in range(7):
        x = x - 0.1 * rv.value_and_grad(function)(x)[1]
    result = rv.minimize(function, np.zeros(20), method="gd", lr=0.1, max_iterations=7)
    np.testing.assert_allclose(result.x, x, rtol=1e-14)
    assert result.nfev == 8

    diverged = rv.minimize(lambda x: (x * x * x * x).sum(), np.ones(2), method="gd", lr=10.0)
    assert diverged.status == 3 and "a step of lr=10 along the negative gradient left" in diverged.message


def test_newton_solves_a_quadratic_in_one_step() -> None:
    result = rv.minimize(quadratic(20, 1e3), np.zeros(20), method="newton")
    assert (result.nit, result.nfev, result.nhev) == (1, 2, 20)


def test_bfgs_ends_with_the_inverse_hessian() -> None:
    function = quadratic(6, 20.0)
    result = rv.minimize(function, np.zeros(6), method="bfgs", gtol=1e-10, c2=1e-3)
    hessian = np.stack([rv.hvp(function)(result.x, unit) for unit in np.eye(6)])
    assert result.hess_inv is not None
    np.testing.assert_allclose(result.hess_inv @ hessian, np.eye(6), atol=1e-3)


def saddle(x: Any) -> Any:
    """A saddle at 0, minima at (±1, 0): f = x⁴/4 - x²/2 + y²/2."""
    return 0.25 * (x[0] * x[0]) ** 2 - 0.5 * x[0] ** 2 + 0.5 * x[1] ** 2


@pytest.mark.parametrize(
    ("method", "options"), [("newton", {"saddle_free": True}), ("newton", {}), ("newton-cg", {})]
)
def test_saddles_repel(method: str, options: dict[str, Any]) -> None:
    """Newton's step without a remedy goes to the saddle, which is where its model is stationary."""
    result = rv.minimize(saddle, np.array([1e-3, 0.5]), method=method, **options)
    np.testing.assert_allclose(np.abs(result.x), [1, 0], atol=1e-5)
    assert result.fun == pytest.approx(-0.25, abs=1e-10)


def test_newton_leaves_a_saddle_line_along_the_lowest_eigenvector() -> None:
    """The gradient has no component along the direction of negative curvature (the hard case)."""
    result = rv.minimize(saddle, np.array([0.0, 0.5]), method="newton")
    np.testing.assert_allclose(np.abs(result.x), [1, 0], atol=1e-5)


def test_saddle_free_steps_have_absolute_eigenvalues() -> None:
    start = np.array([0.1, 0.5])
    seen = []
    rv.minimize(
        saddle,
        start,
        method="newton",
        saddle_free=True,
        max_iterations=1,
        callback=lambda so_far: seen.append(so_far.x) and False,
    )
    gradient, curvature = np.array([0.1**3 - 0.1, 0.5]), np.array([3 * 0.1**2 - 1, 1.0])
    np.testing.assert_allclose(seen[0], start - gradient / np.abs(curvature), rtol=1e-12)
