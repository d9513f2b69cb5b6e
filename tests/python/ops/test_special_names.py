"""`ops.special`, `ops.masked`, `ops.signal.windows` and further names: against SciPy and NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helper import Case, bools, case, check, distinct, integers, normal, positive, run
from scipy import linalg, signal, special

import ravine as rv
from ravine import ops

X = np.concatenate([-np.geomspace(1e-6, 90, 60)[::-1], [0.0], np.geomspace(1e-6, 90, 60)])
ABOVE = np.concatenate([np.geomspace(1e-8, 600, 90), [0.0]])
PROBABILITIES = np.concatenate([np.geomspace(1e-300, 0.5, 60), 1 - np.geomspace(1e-15, 0.5, 40)])

# name -> (SciPy's function, where, relative precision)
FUNCTIONS: dict[str, tuple[Any, np.ndarray, float]] = {
    "bessel_j0": (special.j0, X, 1e-11),
    "bessel_j1": (special.j1, X, 1e-11),
    "bessel_y0": (special.y0, ABOVE[ABOVE < 90], 1e-11),
    "bessel_y1": (special.y1, ABOVE[ABOVE < 90], 1e-11),
    "modified_bessel_i0": (special.i0, X, 1e-13),
    "modified_bessel_i1": (special.i1, X, 1e-13),
    "modified_bessel_k0": (special.k0, ABOVE, 1e-13),
    "modified_bessel_k1": (special.k1, ABOVE, 1e-13),
    "scaled_modified_bessel_k0": (special.k0e, ABOVE, 1e-13),
    "scaled_modified_bessel_k1": (special.k1e, ABOVE, 1e-13),
    "i0e": (special.i0e, 10 * X, 1e-14),
    "i1": (special.i1, X, 1e-13),
    "i1e": (special.i1e, 10 * X, 1e-14),
    "spherical_bessel_j0": (lambda x: special.spherical_jn(0, x), X, 1e-12),
    "airy_ai": (lambda x: special.airy(x)[0], np.linspace(-30, 12, 200), 1e-11),
    "erfcx": (special.erfcx, np.concatenate([np.linspace(-20, 30, 200), [1e9]]), 1e-13),
    "ndtr": (special.ndtr, np.linspace(-37, 9, 200), 1e-12),
    "log_ndtr": (special.log_ndtr, np.linspace(-200, 30, 300), 1e-13),
    "ndtri": (special.ndtri, PROBABILITIES, 1e-12),
    "entr": (special.entr, ABOVE, 1e-15),
}
POLYNOMIALS = {
    "chebyshev_polynomial_t": special.eval_chebyt,
    "chebyshev_polynomial_u": special.eval_chebyu,
    "shifted_chebyshev_polynomial_t": special.eval_sh_chebyt,
    "shifted_chebyshev_polynomial_u": special.eval_sh_chebyu,
    "hermite_polynomial_h": special.eval_hermite,
    "hermite_polynomial_he": special.eval_hermitenorm,
    "laguerre_polynomial_l": special.eval_laguerre,
    "legendre_polynomial_p": special.eval_legendre,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_digits(name: str) -> None:
    reference, x, precision = FUNCTIONS[name]
    with np.errstate(all="ignore"):
        wanted = reference(x)
    actual = getattr(ops.special, name)(x).numpy()
    scale = 1.0 if name.startswith(("bessel", "airy", "spherical")) else 0.0  # they have zeros of their own
    np.testing.assert_allclose(actual, wanted, rtol=precision, atol=precision * scale)


@pytest.mark.parametrize("name", POLYNOMIALS)
def test_polynomials(name: str) -> None:
    x = np.linspace(-1, 1, 41)
    for n in (0, 1, 2, 7, 30, 64, 200):
        wanted = POLYNOMIALS[name](n, x)
        actual = getattr(ops.special, name)(x, n).numpy()
        np.testing.assert_allclose(actual, wanted, rtol=1e-9, atol=1e-10 * np.abs(wanted).max())
    assert getattr(ops.special, name)(np.array([0.5]), -3).numpy() == 0
    with pytest.raises(ValueError, match="has no gradient, as in PyTorch"):
        rv.value_and_grad(lambda a: getattr(ops.special, name)(a, 3).sum())(x)


@pytest.mark.parametrize("kind", ["v", "w"])
def test_chebyshev_polynomials_of_the_third_and_fourth_kind(kind: str) -> None:
    t = np.linspace(0.1, 3.0, 30)
    f = np.cos if kind == "v" else np.sin
    for n in (0, 1, 5, 100):
        actual = getattr(ops.special, f"chebyshev_polynomial_{kind}")(np.cos(t), n).numpy()
        np.testing.assert_allclose(actual, f((n + 0.5) * t) / f(t / 2), rtol=1e-9, atol=1e-10)


def test_incomplete_gamma_functions() -> None:
    a, x = np.meshgrid(np.geomspace(1e-3, 2e3, 25), np.geomspace(1e-3, 3e3, 25))
    for function, reference in (
        (ops.special.gammainc, special.gammainc),
        (ops.special.gammaincc, special.gammaincc),
    ):
        np.testing.assert_allclose(function(a, x).numpy(), reference(a, x), rtol=1e-10, atol=1e-300)
    large = np.array([1e9, 1e12, 1e20])
    for shift in (0.0, 1.0, -2.0):  # in standard deviations
        x = large + shift * np.sqrt(large)
        np.testing.assert_allclose(
            ops.special.gammaincc(large, x).numpy(), special.gammaincc(large, x), rtol=1e-7, atol=1e-9
        )
    for a, x, value in ((0.0, 0.0, np.nan), (0.0, 1.0, 1.0), (1.0, np.inf, 1.0), (-1.0, 1.0, np.nan)):
        np.testing.assert_equal(float(ops.special.gammainc(a, x).numpy()), value)


def away(*shape: int) -> np.ndarray:
    return positive(*shape) + 0.5


MASK = bools(3, 5)
MASK[:, 0] = True
DIFFERENTIATED = [
    *[
        case(name, getattr(ops.special, name), FUNCTIONS[name][0], numbers(3, 4))
        for name, numbers in {
            "bessel_j0": normal,
            "bessel_j1": away,
            "bessel_y0": away,
            "bessel_y1": away,
            "modified_bessel_i0": normal,
            "modified_bessel_i1": away,
            "modified_bessel_k0": away,
            "modified_bessel_k1": away,
            "scaled_modified_bessel_k0": away,
            "scaled_modified_bessel_k1": away,
            "i0e": away,
            "i1e": away,
            "spherical_bessel_j0": away,
            "erfcx": normal,
            "ndtr": normal,
            "log_ndtr": normal,
            "entr": away,
        }.items()
    ],
    case("i0", ops.special.i0, special.i0, normal(3, 4)),
    case(
        "logdet",
        lambda a: ops.logdet(a @ a.mT + np.eye(3)),
        lambda a: np.linalg.slogdet(a @ a.T + np.eye(3))[1],
        normal(3, 3),
    ),
    case(
        "cholesky",
        lambda a: ops.cholesky(a @ a.mT + np.eye(3), upper=True),
        lambda a: np.linalg.cholesky(a @ np.swapaxes(a, -1, -2) + np.eye(3)).swapaxes(-1, -2),
        normal(3, 3),
    ),
    case("matrix_exp", ops.matrix_exp, linalg.expm, normal(3, 3)),
    case(
        "ndtri",
        lambda x: ops.special.ndtri(ops.sigmoid(x)),
        lambda x: special.ndtri(special.expit(x)),
        normal(3, 4),
    ),
    case("igamma", ops.special.gammainc, special.gammainc, away(3, 4), away(4) + 1, frozen=(0,)),
    case("igammac", ops.special.gammaincc, special.gammaincc, away(3, 4), away(4) + 1, frozen=(0,)),
    *[
        case(
            f"masked.{name}",
            lambda x, f=name: getattr(ops.masked, f)(x, 1, mask=MASK),
            lambda x, f=name: getattr(np.ma, f)(np.ma.array(x, mask=~MASK), axis=1).filled(0.0),
            distinct(3, 5),
        )
        for name in ("sum", "prod", "mean")
    ],
    case(
        "masked.amax",
        lambda x: ops.masked.amax(x, 1, mask=MASK),
        lambda x: np.where(MASK, x, -np.inf).max(1),
        distinct(3, 5),
    ),
    case(
        "masked.amin",
        lambda x: ops.masked.amin(x, 1, mask=MASK),
        lambda x: np.where(MASK, x, np.inf).min(1),
        distinct(3, 5),
    ),
    case(
        "masked.softmax",
        lambda x: ops.masked.softmax(x, 1, mask=MASK),
        lambda x: special.softmax(np.where(MASK, x, -np.inf), 1),
        normal(3, 5),
    ),
    case(
        "masked.logsumexp",
        lambda x: ops.masked.logsumexp(x, 1, mask=MASK),
        lambda x: special.logsumexp(np.where(MASK, x, -np.inf), 1),
        normal(3, 5),
    ),
    case(
        "masked.norm",
        lambda x: ops.masked.norm(x, 3.0, 1, mask=MASK),
        lambda x: (np.abs(x * MASK) ** 3).sum(1) ** (1 / 3),
        normal(3, 5) + 3,
    ),
    case("masked.var", lambda x: ops.masked.var(x, mask=MASK), lambda x: x[MASK].var(ddof=1), normal(3, 5)),
    case(
        "masked.std",
        lambda x: ops.masked.std(x, correction=0.5, mask=MASK),
        lambda x: x[MASK].std(ddof=0.5),
        normal(3, 5),
    ),
    case(
        "masked.cumsum",
        lambda x: ops.masked.cumsum(x, 1, mask=MASK),
        lambda x: (x * MASK).cumsum(1),
        normal(3, 5),
    ),
    case(
        "gradient",
        lambda x: ops.gradient(x, spacing=0.5, edge_order=2)[1],
        lambda x: np.gradient(x, 0.5, edge_order=2)[1],
        normal(4, 5),
    ),
    case(
        "gradient-places",
        lambda x: ops.gradient(x, dim=0, spacing=(np.array([0.0, 1.0, 3.0, 3.5]),))[0],
        lambda x: np.gradient(x, np.array([0.0, 1.0, 3.0, 3.5]), axis=0),
        normal(4, 5),
    ),
    case(
        "triangular_solve",
        lambda b, a: ops.triangular_solve(b, a, upper=False, transpose=True)[0],
        lambda b, a: np.linalg.solve(np.tril(a).T, b),
        normal(3, 2),
        normal(3, 3, seed=1) + 4 * np.eye(3),
    ),
    case("combinations", ops.combinations, lambda x: x[np.array([[0, 1], [0, 2], [1, 2]])], normal(3)),
]


@pytest.mark.parametrize("case", DIFFERENTIATED, ids=str)
def test_operation(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("name", ["sum", "prod", "amax", "mean", "var", "logsumexp", "median"])
def test_what_a_mask_keeps_out_does_not_count(name: str) -> None:
    """Neither a value nor a gradient of it, were it infinite or no number."""
    x = normal(3, 5)
    clean = np.where(MASK, x, 0.0)
    for junk in (np.inf, np.nan, 1e300):
        dirty = np.where(MASK, x, junk)
        reduce = getattr(ops.masked, name)
        np.testing.assert_allclose(reduce(dirty, 1, mask=MASK).numpy(), reduce(clean, 1, mask=MASK).numpy())
        value, slope = rv.value_and_grad(lambda a, f=reduce: f(a, 1, mask=MASK)[:1].sum())(dirty)
        assert np.isfinite(value) and np.isfinite(slope).all()
        assert (slope[~MASK] == 0).all()


def test_masks_are_checked() -> None:
    with pytest.raises(TypeError, match=r"masked\.sum: mask must be boolean, got int64"):
        ops.masked.sum(np.ones(3), mask=np.ones(3, "int64"))
    with pytest.raises(ValueError, match=r"masked\.mean: mask of shape \(2,\) does not broadcast"):
        ops.masked.mean(np.ones(3), mask=[True, False])


WINDOWS = {
    "bartlett": ("bartlett", {}, ()),
    "blackman": ("blackman", {}, ()),
    "cosine": ("cosine", {}, ()),
    "exponential": ("exponential", {"tau": 2.0}, (None, 2.0)),
    "gaussian": ("gaussian", {"std": 1.5}, (1.5,)),
    "general_cosine": ("general_cosine", {"a": [0.5, 0.3, 0.2]}, ([0.5, 0.3, 0.2],)),
    "general_hamming": ("general_hamming", {"alpha": 0.6}, (0.6,)),
    "hamming": ("hamming", {}, ()),
    "hann": ("hann", {}, ()),
    "kaiser": ("kaiser", {"beta": 3.0}, (3.0,)),
    "nuttall": ("nuttall", {}, ()),
}


@pytest.mark.parametrize("sym", [True, False])
@pytest.mark.parametrize("name", WINDOWS)
def test_windows(name: str, sym: bool) -> None:
    theirs, options, arguments = WINDOWS[name]
    for length in (0, 1, 2, 7, 8):
        wanted = getattr(signal.windows, theirs)(length, *arguments, sym=sym)
        actual = getattr(ops.signal.windows, name)(length, sym=sym, dtype="float64", **options).numpy()
        np.testing.assert_allclose(actual, wanted, atol=1e-15)


def test_histogram() -> None:
    x = np.array([0.0, 1.0, 1.5, 3.0, -1.0, 4.0, np.nan])
    np.testing.assert_array_equal(ops.histc(x, 3, 0, 3).numpy(), [1, 2, 1])
    x = normal(200)
    np.testing.assert_array_equal(ops.histc(x, 11).numpy(), np.histogram(x, 11)[0])
    np.testing.assert_array_equal(ops.histc(np.full(5, 2.0), 4).numpy(), [0, 0, 5, 0])
    np.testing.assert_array_equal(ops.histc(np.zeros(0), 4).numpy(), np.zeros(4))


def test_indices_and_matrices() -> None:
    flat = integers(4, 3, high=60)
    for ours, theirs in zip(
        ops.unravel_index(flat, (3, 4, 5)), np.unravel_index(flat, (3, 4, 5)), strict=True
    ):
        np.testing.assert_array_equal(ours.numpy(), theirs)
    a = normal(4, 3)
    q, r = ops.qr(a)
    np.testing.assert_allclose((q @ r).numpy(), a, atol=1e-12)
    np.testing.assert_allclose(ops.pinverse(a).numpy(), np.linalg.pinv(a), atol=1e-12)
    upper = np.triu(normal(3, 3)) + 4 * np.eye(3)
    np.testing.assert_allclose(
        ops.cholesky_inverse(upper, upper=True).numpy(), np.linalg.inv(upper.T @ upper), atol=1e-12
    )
    np.testing.assert_array_equal(run(lambda t: t.H, a), a.T)


@pytest.mark.parametrize("channels", [False, True])
def test_alpha_dropout_keeps_mean_and_variance(channels: bool) -> None:
    x = np.random.default_rng(0).normal(size=(400, 500, 1)).astype("float32")
    layer = rv.nn.FeatureAlphaDropout(0.3) if channels else rv.nn.AlphaDropout(0.3)
    rv.seed(0)
    y = layer(x)
    assert abs(y.mean()) < 0.01 and abs(y.var() - 1) < 0.01
    low, high = np.unique(layer(np.zeros_like(x)))  # dropped and kept
    assert (layer(np.zeros_like(x)) == low).mean() == pytest.approx(0.3, abs=0.01)
    assert low < 0 < high


def test_random_rectifier() -> None:
    x = np.full(20_000, -1.0, "float32")
    layer = rv.nn.RReLU(0.25, 0.75)
    y = -layer(x)
    assert y.min() >= 0.25 and y.max() < 0.75 and abs(y.mean() - 0.5) < 0.01
    np.testing.assert_array_equal(layer.eval()(x), np.full_like(x, -0.5))
