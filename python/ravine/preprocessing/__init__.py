"""What data need before a net learns from them: scikit-learn's names and methods, on NumPy arrays.

`fit` learns from training data, `transform` changes any data alike, `inverse_transform` brings them back, and
`partial_fit` learns from pieces of a set that is larger than memory. All is computed in float64.
`get_state` gives what was learned as plain arrays, and `nn.Normalize.from_(fitted)` puts an affine
transformer into the model.
"""

from ._base import Transformer
from ._categories import OneHotEncoder, OrdinalEncoder
from ._compose import Chain, Columns
from ._images import ChannelScaler, MeanImage
from ._imputer import SimpleImputer
from ._quantile import QuantileTransformer, RobustScaler
from ._scalers import MeanSubtraction, MinMaxScaler, StandardScaler
from ._whitening import PCA, ZCA

__all__ = [
    "PCA",
    "ZCA",
    "Chain",
    "ChannelScaler",
    "Columns",
    "MeanImage",
    "MeanSubtraction",
    "MinMaxScaler",
    "OneHotEncoder",
    "OrdinalEncoder",
    "QuantileTransformer",
    "RobustScaler",
    "SimpleImputer",
    "StandardScaler",
    "Transformer",
]
