"""Transformers: pieces equal the whole, inverses, states, what is refused by which name, layers of them."""

from __future__ import annotations

import copy
import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import ravine as rv
from ravine import nn
from ravine import preprocessing as p

TABLES = {
    "standard": p.StandardScaler,
    "mean": p.MeanSubtraction,
    "min-max": p.MinMaxScaler,
    "robust": p.RobustScaler,
    "clipped": lambda: p.RobustScaler(smooth_clip=4.0),
    "pca": p.PCA,
    "zca": p.ZCA,
    "image": p.MeanImage,
    "channels": p.ChannelScaler,
}
tables = hnp.arrays(
    np.float64, st.tuples(st.integers(4, 40), st.integers(1, 4)), elements=st.floats(-1e3, 1e3, width=32)
)


def data(rows: int = 60, columns: int = 4, dtype: str = "float64") -> np.ndarray:
    generator = np.random.default_rng(1)
    x = generator.standard_normal((rows, columns)) @ generator.standard_normal((columns, columns))
    return (x * np.arange(1, columns + 1) + 10 * np.arange(columns)).astype(dtype)


@settings(max_examples=15, deadline=None)
@given(tables, st.lists(st.integers(1, 39), max_size=4))
@pytest.mark.parametrize("name", TABLES)
def test_pieces_teach_what_the_whole_teaches(name: str, x: np.ndarray, cuts: list[int]) -> None:
    whole, pieces = TABLES[name]().fit(x), TABLES[name]()
    for piece in np.split(x, sorted({cut for cut in cuts if cut < len(x)})):
        pieces.partial_fit(piece)
    for key, array in whole.get_state().items():
        other = pieces.get_state()[key]
        assert other.shape == array.shape and other.dtype == array.dtype
        np.testing.assert_allclose(
            other, array, rtol=1e-9, atol=1e-9 * max(1.0, np.abs(x).max() ** 2) * len(x)
        )


@settings(max_examples=15, deadline=None)
@given(tables)
@pytest.mark.parametrize("name", ["standard", "mean", "min-max", "robust", "zca", "image", "channels"])
def test_the_inverse_brings_back_what_was_there(name: str, x: np.ndarray) -> None:
    fitted = TABLES[name]().fit(x)
    back = fitted.inverse_transform(fitted.transform(x))
    largest = max(1.0, np.abs(x).max())
    np.testing.assert_allclose(back, x, rtol=1e-9, atol=1e-7 * largest)


def test_sums_do_not_cancel_far_from_zero() -> None:
    """Sums of squares in float64 would leave no digit of a variance of 1 beside a mean of 1e9."""
    x = 1e9 + np.random.default_rng(0).standard_normal((3000, 3))
    scaler = p.StandardScaler()
    for piece in np.array_split(x, 11):
        scaler.partial_fit(piece)
    np.testing.assert_allclose(scaler.var_, (x - 1e9).var(axis=0), rtol=1e-7)
    pca = p.PCA().fit(x)
    np.testing.assert_allclose(pca.explained_variance_.sum(), (x - 1e9).var(axis=0, ddof=1).sum(), rtol=1e-7)


def test_whitened_data_have_the_identity_as_covariance() -> None:
    x = data(2000, 5)
    for whitener in (p.PCA(whiten=True), p.ZCA(epsilon=0)):
        np.testing.assert_allclose(np.cov(whitener.fit_transform(x).T), np.eye(5), atol=1e-8)
    whitening = p.ZCA(epsilon=0).fit(x).whitening_
    np.testing.assert_allclose(whitening, whitening.T, atol=1e-10)  # a rotation would stand between otherwise
    images = x[:, :4].reshape(-1, 1, 2, 2).astype(np.float32)
    white = p.ZCA().fit_transform(images)
    assert white.shape == images.shape and white.dtype == np.float32
    constant = p.PCA(whiten=True).fit_transform(np.column_stack([x[:, 0], np.ones(2000)]))
    assert (constant[:, 1] == 0).all()


@pytest.mark.parametrize("threads", [1, 3])
def test_bits_do_not_depend_on_threads(threads: int) -> None:
    x = np.random.default_rng(0).standard_normal((500, 130)).astype(np.float32)
    results = []
    for n in (2, threads):
        rv.set_num_threads(n)
        results.append(p.ZCA().fit_transform(x))
    np.testing.assert_array_equal(*results)


def test_images_are_scaled_by_channel_and_centred_by_pixel() -> None:
    images = np.random.default_rng(0).integers(0, 256, (30, 3, 5, 4), np.uint8)
    images[:, 2] = 7  # a constant channel
    scaled = p.ChannelScaler().fit_transform(images)
    assert scaled.dtype == np.float32
    mean, std = images.mean((0, 2, 3), keepdims=True), images.std((0, 2, 3), keepdims=True)
    expected = (images - mean) / np.where(std == 0, 1, std)
    np.testing.assert_allclose(scaled, expected, atol=1e-5)
    np.testing.assert_allclose(p.MeanImage().fit_transform(images), images - images.mean(0), atol=1e-4)


def test_samples_do_not_depend_on_the_pieces_and_quantiles_are_near() -> None:
    x = np.random.default_rng(0).standard_exponential((5000, 2))
    whole = p.QuantileTransformer(subsample=800).fit(x)
    pieces = p.QuantileTransformer(subsample=800)
    for piece in np.split(x, [3, 1000, 1700, 4000]):
        pieces.partial_fit(piece)
    np.testing.assert_array_equal(whole.sample_, pieces.sample_)
    assert whole.sample_.shape == (800, 2) and whole.n_samples_seen_ == 5000
    shares = whole.transform(x)
    assert np.abs(np.sort(shares[:, 0]) - np.linspace(0, 1, 5000)).max() < 0.05
    other = p.QuantileTransformer(subsample=800, random_state=1).fit(x)
    assert (other.sample_ != whole.sample_).any()


def test_smooth_clipping_bounds_and_leaves_small_numbers() -> None:
    x = np.array([[-1e6], [-1.0], [0.0], [1.0], [2.0], [3.0]])
    y = p.RobustScaler(smooth_clip=3.0).fit_transform(x)
    plain = p.RobustScaler().fit_transform(x)
    np.testing.assert_allclose(y, plain / np.sqrt(1 + (plain / 3) ** 2), rtol=1e-12)
    assert np.abs(y).max() <= 3.0


def frame(**columns):
    """As frames of pandas and polars look to a transformer."""

    class Frame:
        def __init__(self) -> None:
            self.columns = list(columns)

        def to_numpy(self) -> np.ndarray:
            kinds = {np.asarray(column).dtype.kind for column in columns.values()}
            dtype = object if len(kinds) > 1 else None
            return np.column_stack([np.asarray(column, dtype) for column in columns.values()])

    return Frame()


def mixed() -> p.Columns:
    return p.Columns(
        [
            ("numbers", p.Chain(p.SimpleImputer(), p.StandardScaler()), ["age", "income"]),
            ("code", p.OneHotEncoder(handle_unknown="ignore"), "city"),
            ("gone", "drop", ["id"]),
        ],
        remainder="passthrough",
    )


def people() -> dict[str, list]:
    return {
        "id": [1, 2, 3, 4],
        "city": ["Rome", "Oslo", "Rome", "Bern"],
        "age": [20.0, None, 40.0, 60.0],
        "income": [1.0, 2.0, 3.0, 6.0],
        "flag": [0, 1, 1, 0],
    }


def test_columns_of_a_frame_and_of_a_dict() -> None:
    age = np.array([20.0, 40.0, 40.0, 60.0])
    income = np.array([1.0, 2.0, 3.0, 6.0])
    expected = np.column_stack(
        [
            (age - 40) / age.std(),
            (income - 3) / income.std(),
            [[0, 0, 1], [0, 1, 0], [0, 0, 1], [1, 0, 0]],
            [0, 1, 1, 0],
        ]
    )
    with pytest.raises(TypeError, match="in Columns: 'numbers': Chain: use fit_pieces"):
        mixed().partial_fit(people())
    for table in (people(), frame(**people())):
        columns = mixed()
        np.testing.assert_allclose(columns.fit_transform(table), expected, rtol=1e-12)
        renamed = {**people(), "city": ["Lima"] * 4}
        assert (columns.transform(renamed)[:, 2:5] == 0).all()
        del renamed["age"]
        with pytest.raises(ValueError, match=r"columns \['age'\] of the fit are missing"):
            columns.transform(renamed)


def test_columns_by_number_slice_and_bools() -> None:
    x = data()
    columns = p.Columns(
        [
            ("a", p.MinMaxScaler(), [0, -1]),
            ("b", "passthrough", slice(1, 2)),
            ("c", p.PCA(1), [False, True, True, False]),
        ]
    )
    first, second = x[:30], x[30:]
    made = columns.partial_fit(first).partial_fit(second).transform(x)
    np.testing.assert_allclose(made[:, :2], p.MinMaxScaler().fit_transform(x[:, [0, 3]]), rtol=1e-12)
    np.testing.assert_array_equal(made[:, 2], x[:, 1])
    np.testing.assert_allclose(made[:, 3:], p.PCA(1).fit_transform(x[:, 1:3]), rtol=1e-9, atol=1e-9)


def test_a_chain_learns_from_pieces_one_step_after_the_other() -> None:
    x = data()
    x[3, 1] = np.nan
    steps = (p.SimpleImputer, p.StandardScaler, lambda: p.PCA(2))
    whole = p.Chain(*(step() for step in steps)).fit(x)
    pieces = p.Chain(*(step() for step in steps)).fit_pieces(np.array_split(x, 5))
    np.testing.assert_allclose(pieces.transform(x), whole.transform(x), rtol=1e-9, atol=1e-9)
    with pytest.raises(ValueError, match="there was no piece for step 1"):
        pieces.fit_pieces(iter(np.array_split(x, 5)))
    np.testing.assert_allclose(pieces.transform(x), whole.transform(x), rtol=1e-9, atol=1e-9)


def fitted_ones() -> list[p.Transformer]:
    x = data()
    texts = [["a", 1.5], [None, 2], ["b", np.nan]]
    return [
        *(make().fit(x) for make in TABLES.values()),
        p.QuantileTransformer().fit(x),
        p.SimpleImputer(add_indicator=True).fit([[1.0, np.nan], [2.0, 3.0]]),
        p.SimpleImputer(strategy="most_frequent").fit(np.array(texts, dtype=object)),
        p.OneHotEncoder().fit(np.array(texts, dtype=object)),
        p.OrdinalEncoder().fit(frame(city=["a", "b"], street=["c", "c"])),
        p.Chain(p.StandardScaler(), p.PCA(2)).fit(x),
        mixed().fit(people()),
    ]


@pytest.mark.parametrize("fitted", fitted_ones(), ids=repr)
def test_states_are_plain_arrays_that_files_keep(fitted: p.Transformer, tmp_path) -> None:
    rv.save(tmp_path / "state.safetensors", fitted.get_state())
    loaded = rv.load(tmp_path / "state.safetensors")
    new = copy.deepcopy(fitted)
    new._forget()
    with pytest.raises(ValueError, match="has not been fitted"):
        new.get_state()
    new.set_state(loaded)
    assert set(new.get_state()) == set(fitted.get_state())
    for name, array in fitted.get_state().items():
        np.testing.assert_array_equal(new.get_state()[name], array)
        assert new.get_state()[name].dtype == array.dtype
    same = pickle.loads(pickle.dumps(fitted))
    for name, array in fitted.get_state().items():
        np.testing.assert_array_equal(same.get_state()[name], array)
    with pytest.raises(ValueError, match=r"the state m(isses|ust hold)"):
        new.set_state({"nothing": np.zeros(1)})
    assert set(new.get_state()) == set(fitted.get_state())


def test_partial_fit_goes_on_from_a_state() -> None:
    x = data()
    first = p.StandardScaler().fit(x[:20]).get_state()
    again = p.StandardScaler().set_state(first).partial_fit(x[20:])
    np.testing.assert_allclose(again.var_, x.var(axis=0), rtol=1e-12)


NUMERIC = [
    p.StandardScaler,
    p.MinMaxScaler,
    p.RobustScaler,
    lambda: p.QuantileTransformer(n_quantiles=20),
]


@pytest.mark.parametrize("make", NUMERIC)
def test_missing_numbers_are_left_out_and_stay(make) -> None:
    x = data()
    holed = np.vstack([x, np.full((3, 4), np.nan)])
    made = make().fit_transform(holed)
    assert np.isnan(made[60:]).all()
    np.testing.assert_allclose(made[:60], make().fit_transform(x), rtol=1e-9, atol=1e-12)
    back = make().fit(x).inverse_transform(holed)
    assert np.isnan(back[60:]).all()


@pytest.mark.parametrize("make", [*NUMERIC, p.PCA, p.SimpleImputer])
def test_what_is_wrong_names_its_column_and_changes_nothing(make) -> None:
    x = data()
    fitted = make().fit(frame(a=x[:, 0], b=x[:, 1]))
    before = fitted.get_state()
    infinite = x[:, :2].copy()
    infinite[7, 1] = np.inf
    holes = np.column_stack([x[:, 0], np.full(60, np.nan)])
    wrong = [
        (lambda: make().fit(infinite), ValueError, "column 1 holds inf in row 7"),
        (lambda: fitted.fit(frame(a=x[:, 0], b=infinite[:, 1])), ValueError, "column 'b' holds inf in row 7"),
        (lambda: fitted.partial_fit(x), ValueError, "2 columns were fitted, got 4"),
        (lambda: fitted.transform(x), ValueError, "2 columns were fitted, got 4"),
        (
            lambda: fitted.transform(x[:, 0]),
            ValueError,
            r"a table \[rows, columns\] is expected, got shape \(60,\)",
        ),
        (lambda: fitted.transform(frame(b=x[:, 0], a=x[:, 1])), ValueError, "in the order of the fit"),
        (
            lambda: fitted.transform(frame(a=x[:, 0], c=x[:, 1])),
            ValueError,
            r"\['b'\] of the fit are missing",
        ),
        (lambda: fitted.fit(x[:0]), ValueError, "at least one row"),
        (lambda: fitted.fit([["1", "x"]]), TypeError, r"(expected numbers|numbers are expected)"),
        (
            lambda: fitted.fit(np.array([[1, "x"]], dtype=object)),
            TypeError,
            "column 1 holds 'x', expected numbers",
        ),
        (lambda: make().fit(holes).transform(holes), ValueError, "column 1 h"),
        (lambda: make().transform(x), ValueError, "has not been fitted"),
        (lambda: fitted.fit(np.ma.masked_array(x, x > 0)), TypeError, "masked"),
    ]
    for call, kind, message in wrong:
        with pytest.raises(kind, match=message):
            call()
    for name, array in fitted.get_state().items():
        np.testing.assert_array_equal(array, before[name])
    assert fitted.transform(x[:0, :2]).shape == (0, 2)


def text(*values) -> np.ndarray:
    return np.array([[value] for value in values], dtype=object)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: p.OneHotEncoder().fit(text("a")).transform(text("a", "b")),
            ValueError,
            "unknown category 'b' in row 1",
        ),
        (
            lambda: p.OrdinalEncoder().fit(frame(c=["a"])).transform(text("z")),
            ValueError,
            "column 'c' holds the unknown",
        ),
        (lambda: p.OneHotEncoder().fit(text("a", 1)), TypeError, "column 0 mixes int and str"),
        (
            lambda: p.OneHotEncoder().fit(text(b"a")),
            TypeError,
            "column 0: a category must be a text or a number",
        ),
        (
            lambda: p.OneHotEncoder(categories=[["a"]]).fit(text("b")),
            ValueError,
            "unknown category 'b'; known|'b' in row 0",
        ),
        (lambda: p.OrdinalEncoder(handle_unknown="use_encoded_value"), ValueError, "needs it"),
        (
            lambda: (
                p.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=0)
                .fit(text("a"))
                .transform(text("b"))
            ),
            ValueError,
            "unknown_value 0 is that of a category of column 0",
        ),
        (
            lambda: p.OrdinalEncoder(dtype="int64").fit_transform(text("a", None)),
            ValueError,
            "column 0 has missing",
        ),
        (
            lambda: p.OrdinalEncoder().fit(text("a")).inverse_transform([[3]]),
            ValueError,
            "holds 3.0, which no category",
        ),
        (
            lambda: p.SimpleImputer(strategy="most_frequent").fit(text(None)).transform(text(None)),
            ValueError,
            "column 0 h",
        ),
        (lambda: p.SimpleImputer(strategy="mode"), ValueError, "strategy must be one of"),
        (
            lambda: p.SimpleImputer(strategy="constant", fill_value="x").fit_transform([[np.nan]]),
            TypeError,
            "do not fit into a table of numbers",
        ),
        (lambda: p.PCA(3).fit(data(columns=2)), ValueError, "n_components=3, but there are 2 columns"),
        (lambda: p.PCA(3).fit(data(2)).components_, ValueError, "only 2 rows were seen"),
        (lambda: p.PCA().fit(data(1)).components_, ValueError, "at least 2 rows"),
        (lambda: p.PCA(0), ValueError, "n_components must be at least 1"),
        (
            lambda: p.ZCA(epsilon=0).fit(np.ones((5, 2))).whitening_,
            ValueError,
            "do not vary in some direction",
        ),
        (
            lambda: p.ZCA().fit(data()).transform(data(columns=3)),
            ValueError,
            r"examples of shape \(4,\) were fitted",
        ),
        (
            lambda: p.ChannelScaler().fit(np.ones((2, 3, 4))).transform(np.ones((2, 2, 4))),
            ValueError,
            "3 channels",
        ),
        (
            lambda: p.ChannelScaler().fit(np.full((2, 3, 4), np.nan)),
            ValueError,
            "channel 0 holds nan in row 0",
        ),
        (
            lambda: p.MeanImage().fit(np.ones((2, 3))).transform(np.ones((2, 4))),
            ValueError,
            r"shape \(3,\) were fitted",
        ),
        (lambda: p.MinMaxScaler((1, 1)), ValueError, "low < high"),
        (lambda: p.RobustScaler(quantile_range=(80, 20)), ValueError, "0 <= low < high <= 100"),
        (
            lambda: p.RobustScaler(smooth_clip=1).fit(data()).inverse_transform(np.ones((1, 4))),
            ValueError,
            "reaches the limit",
        ),
        (lambda: p.QuantileTransformer(output_distribution="beta"), ValueError, "'uniform' or 'normal'"),
        (lambda: p.Chain(), TypeError, "at least one transformer"),
        (lambda: p.Chain(p.PCA), TypeError, "step 0 must be a transformer"),
        (
            lambda: p.Columns([("a", p.PCA(), ["x"])]).fit(data()),
            ValueError,
            "there is no column 'x'; X has no names",
        ),
        (
            lambda: p.Columns([("a", p.PCA(), [9])]).fit(data()),
            ValueError,
            "'a': there is no column 9 among 4",
        ),
        (
            lambda: p.Columns([("a", p.PCA(9), [0, 1])]).fit(data()),
            ValueError,
            "in Columns: 'a': PCA: n_components=9",
        ),
        (lambda: p.StandardScaler().set_params(mean=1), ValueError, "no parameter 'mean'"),
        (lambda: p.StandardScaler().fit({"a": [1.0], "b": [1.0, 2.0]}), ValueError, "vectors of one length"),
        (lambda: p.SimpleImputer().fit(data()).inverse_transform(data()), TypeError, "no inverse_transform"),
    ],
)
def test_errors_say_what_is_wrong(call, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


def test_encoders_know_missing_values_and_learn_from_pieces() -> None:
    encoder = p.OrdinalEncoder(encoded_missing_value=-2).partial_fit(text("b", None)).partial_fit(text("a"))
    assert encoder.transform(text("a", "b", None)).ravel().tolist() == [0, 1, -2]
    assert encoder.inverse_transform([[0], [-2]]).ravel().tolist() == ["a", None]
    one_hot = p.OneHotEncoder().fit([[1.0, 5], [np.nan, 5]])
    assert one_hot.get_feature_names_out().tolist() == ["0_1", "0_None", "1_5"]
    np.testing.assert_array_equal(one_hot.transform([[np.nan, 5], [1, 5]]), [[0, 1, 1], [1, 0, 1]])
    assert p.OneHotEncoder(drop="first").fit(text("a")).transform(text("a")).shape == (1, 0)


def test_imputers_fill_texts_and_numbers_of_ones_own() -> None:
    filled = p.SimpleImputer(strategy="constant").fit_transform(text("a", None))
    assert filled.ravel().tolist() == ["a", "missing_value"]
    np.testing.assert_array_equal(p.SimpleImputer(missing_values=-1).fit_transform([[-1], [4]]), [[4], [4]])
    pieces = (
        p.SimpleImputer(strategy="most_frequent").partial_fit(text("a", "b", "b")).partial_fit(text("a", "a"))
    )
    assert pieces.statistics_.tolist() == ["a"]


def test_fitting_a_mapped_file_takes_little_memory(tmp_path) -> None:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).standard_normal((200_000, 8)).astype(np.float32))
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    tracemalloc.start()
    scaler = p.StandardScaler().fit(x)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12 * 2**20  # the whole in float64 would take 13 MB, and its squares as much again
    np.testing.assert_allclose(scaler.mean_, np.asarray(x).mean(0, dtype=np.float64), atol=1e-9)


LAYERS = [
    p.MeanSubtraction(),
    p.StandardScaler(),
    p.MinMaxScaler((-1, 2)),
    p.RobustScaler(smooth_clip=2.0),
    p.PCA(3),
    p.PCA(whiten=True),
    p.ZCA(),
    p.MeanImage(),
    p.ChannelScaler(),
    p.Chain(p.StandardScaler(), p.PCA(3, whiten=True), p.MinMaxScaler()),
    p.Chain(p.MinMaxScaler(), p.StandardScaler(), p.RobustScaler(smooth_clip=3.0)),
    p.Chain(p.PCA(), p.PCA(2), p.StandardScaler()),
]


@pytest.mark.parametrize("transformer", LAYERS, ids=repr)
def test_a_layer_does_what_the_transformer_did(transformer: p.Transformer, tmp_path) -> None:
    x = data()
    expected = transformer.fit_transform(x)
    layer = nn.Normalize.from_(transformer, dtype="float64")
    np.testing.assert_allclose(layer(x), expected, rtol=1e-9, atol=1e-9)
    single = nn.Sequential(nn.Normalize.from_(transformer))
    np.testing.assert_allclose(single(x), expected, rtol=1e-3, atol=1e-4)
    assert not list(single.parameters())
    rv.save(tmp_path / "model.safetensors", single)
    single[0].mean.data[...] = 0
    single.load_state_dict(rv.load(tmp_path / "model.safetensors"))
    np.testing.assert_allclose(single(x), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "transformer", [p.ChannelScaler(), p.MeanImage(), p.ZCA(), p.Chain(p.MeanImage(), p.ZCA())], ids=repr
)
def test_a_layer_of_images(transformer: p.Transformer) -> None:
    images = np.random.default_rng(0).integers(0, 256, (50, 2, 3, 3), np.uint8).astype(np.float64)
    expected = transformer.fit_transform(images)
    np.testing.assert_allclose(
        nn.Normalize.from_(transformer, dtype="float64")(images), expected, rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: nn.Normalize.from_(p.OneHotEncoder()), TypeError, "OneHotEncoder: it is no affine map"),
        (lambda: nn.Normalize.from_(p.MinMaxScaler(clip=True).fit(data())), TypeError, "with clip=True"),
        (lambda: nn.Normalize.from_(p.StandardScaler()), ValueError, "has not been fitted"),
        (
            lambda: nn.Normalize.from_(3),
            TypeError,
            "a transformer of ravine.preprocessing is expected, got int",
        ),
        (
            lambda: nn.Normalize.from_(p.Chain(p.RobustScaler(smooth_clip=1), p.PCA()).fit(data())),
            TypeError,
            "after a smooth clipping",
        ),
        (lambda: nn.Normalize(np.zeros(3))(np.zeros((2, 4))), ValueError, r"inputs \[N, 3\] are expected"),
        (lambda: nn.Normalize(np.zeros(3), matrix=np.zeros((2, 2))), ValueError, r"a matrix \[3, features\]"),
        (lambda: nn.Normalize(np.zeros(2), np.ones(2), matrix=np.eye(2)), ValueError, "got both"),
        (lambda: nn.Normalize([np.nan]), ValueError, "mean must be finite"),
        (lambda: nn.Normalize([0.0], dtype="int64"), TypeError, "float32 or float64, got int64"),
    ],
)
def test_layers_refuse_what_they_cannot_be(call, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()
