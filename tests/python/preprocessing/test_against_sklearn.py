"""The transformers beside scikit-learn's, on the same data."""

from __future__ import annotations

import numpy as np
import pytest

from ravine import preprocessing as p

sklearn = pytest.importorskip("sklearn")
sk = pytest.importorskip("sklearn.preprocessing")
decomposition = pytest.importorskip("sklearn.decomposition")


def data(rows: int = 200, missing: bool = False) -> np.ndarray:
    generator = np.random.default_rng(0)
    x = generator.standard_normal((rows, 6)) @ generator.standard_normal((6, 6))
    x = x * [1, 100, 1e-3, 1, 1, 1] + [0, 1000, 5, 0, 0, 0]
    x[:, 4] = 7.25  # constant
    x[:, 5] = np.round(x[:, 5])  # many equal numbers
    if missing:
        x[generator.random(x.shape) < 0.1] = np.nan
        x[0] = 1.0
    return x


NUMERIC = [
    (p.StandardScaler(), sk.StandardScaler(), ("mean_", "var_", "scale_")),
    (p.StandardScaler(with_mean=False), sk.StandardScaler(with_mean=False), ("scale_",)),
    (p.StandardScaler(with_std=False), sk.StandardScaler(with_std=False), ("mean_",)),
    (p.MeanSubtraction(), sk.StandardScaler(with_std=False), ("mean_",)),
    (p.MinMaxScaler(), sk.MinMaxScaler(), ("data_min_", "data_max_", "data_range_", "scale_", "min_")),
    (p.MinMaxScaler((-1, 3), clip=True), sk.MinMaxScaler((-1, 3), clip=True), ("scale_", "min_")),
    (p.RobustScaler(), sk.RobustScaler(), ("center_", "scale_")),
    (
        p.RobustScaler(quantile_range=(10, 80), unit_variance=True, with_centering=False),
        sk.RobustScaler(quantile_range=(10, 80), unit_variance=True, with_centering=False),
        ("scale_",),
    ),
    (p.QuantileTransformer(n_quantiles=50), sk.QuantileTransformer(n_quantiles=50), ("quantiles_",)),
    (
        p.QuantileTransformer(n_quantiles=150, output_distribution="normal"),
        sk.QuantileTransformer(n_quantiles=150, output_distribution="normal"),
        ("quantiles_", "references_", "n_quantiles_"),
    ),
]


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize(("ours", "theirs", "attributes"), NUMERIC, ids=lambda v: repr(v))
def test_scalers(ours, theirs, attributes: tuple[str, ...], missing: bool) -> None:
    x, new = data(missing=missing), data(300, missing=missing)[200:]
    np.testing.assert_allclose(ours.fit_transform(x), theirs.fit_transform(x), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(ours.transform(new), theirs.transform(new), rtol=1e-9, atol=1e-9)
    for name in attributes:
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-12, err_msg=name)
    back = theirs.inverse_transform(theirs.transform(new))
    np.testing.assert_allclose(ours.inverse_transform(ours.transform(new)), back, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("n_components", [None, 2, 0.9, 5])
def test_pca(n_components, whiten: bool) -> None:
    x = data()[:, [0, 1, 3, 5, 2]]
    ours = p.PCA(n_components, whiten=whiten)
    theirs = decomposition.PCA(n_components, whiten=whiten, svd_solver="full")
    np.testing.assert_allclose(ours.fit_transform(x), theirs.fit_transform(x), rtol=1e-6, atol=1e-6)
    assert ours.n_components_ == theirs.n_components_
    for name in ("mean_", "explained_variance_", "explained_variance_ratio_", "singular_values_"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-6, err_msg=name)
    np.testing.assert_allclose(ours.components_, theirs.components_, atol=1e-8)
    np.testing.assert_allclose(ours.noise_variance_, theirs.noise_variance_, rtol=1e-6, atol=1e-12)
    back = theirs.inverse_transform(theirs.transform(x))
    np.testing.assert_allclose(ours.inverse_transform(ours.transform(x)), back, rtol=1e-9, atol=1e-9)


TABLE = [["red", 3], ["blue", 1], ["red", 1], ["green", 7]]
CODED = [
    (p.OneHotEncoder(), sk.OneHotEncoder(sparse_output=False)),
    (p.OneHotEncoder(drop="first"), sk.OneHotEncoder(sparse_output=False, drop="first")),
    (
        p.OneHotEncoder(handle_unknown="ignore"),
        sk.OneHotEncoder(sparse_output=False, handle_unknown="ignore"),
    ),
    (p.OrdinalEncoder(), sk.OrdinalEncoder()),
    (
        p.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
        sk.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
    ),
    (
        p.OrdinalEncoder(categories=[["red", "green", "blue"], [7, 3, 1]]),
        sk.OrdinalEncoder(categories=[["red", "green", "blue"], [7, 3, 1]]),
    ),
]


@pytest.mark.parametrize(("ours", "theirs"), CODED, ids=lambda v: repr(v))
def test_encoders(ours, theirs) -> None:
    table = np.array(TABLE, dtype=object)
    np.testing.assert_array_equal(ours.fit_transform(table), theirs.fit_transform(table))
    for mine, other in zip(ours.categories_, theirs.categories_, strict=True):
        assert list(mine) == list(other)
    if ours.handle_unknown != "error":
        new = np.array([["pink", 3], ["blue", 9]], dtype=object)
        np.testing.assert_array_equal(ours.transform(new), theirs.transform(new))
        coded = theirs.transform(new)
        assert ours.inverse_transform(coded).tolist() == theirs.inverse_transform(coded).tolist()
    back = ours.inverse_transform(ours.transform(table))
    assert back.tolist() == TABLE


@pytest.mark.parametrize("add_indicator", [False, True])
@pytest.mark.parametrize("strategy", ["mean", "median", "most_frequent", "constant"])
def test_imputer(strategy: str, add_indicator: bool) -> None:
    impute = pytest.importorskip("sklearn.impute")
    x = data(missing=True)
    x[:, 3] = np.where(np.isnan(x[:, 3]), 0.5, x[:, 3])
    options = {"strategy": strategy, "add_indicator": add_indicator}
    ours, theirs = p.SimpleImputer(**options), impute.SimpleImputer(**options)
    np.testing.assert_allclose(ours.fit_transform(x), theirs.fit_transform(x), rtol=1e-12)
    np.testing.assert_allclose(ours.statistics_.astype(float), theirs.statistics_.astype(float), rtol=1e-12)


def test_they_work_in_pipelines_of_scikit_learn() -> None:
    pipeline = pytest.importorskip("sklearn.pipeline")
    x = data(missing=True)
    steps = [("impute", p.SimpleImputer()), ("scale", p.RobustScaler(smooth_clip=3)), ("pca", p.PCA(2))]
    made = pipeline.Pipeline(steps).fit(x).transform(x)
    chain = p.Chain(*(sklearn.clone(step) for _, step in steps))
    assert not chain._is_fitted
    np.testing.assert_array_equal(made, chain.fit_transform(x))


def test_normal_numbers_against_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    from ravine.preprocessing._normal import normal_cdf, normal_quantile

    shares = np.concatenate(
        [np.logspace(-10, -1, 200), np.linspace(0.1, 0.9, 201), 1 - np.logspace(-10, -1, 200)]
    )
    np.testing.assert_allclose(normal_quantile(shares), stats.norm.ppf(shares), rtol=1e-13, atol=1e-15)
    x = np.linspace(-6, 6, 301)
    np.testing.assert_allclose(normal_cdf(x), stats.norm.cdf(x), rtol=1e-9, atol=1e-16)
