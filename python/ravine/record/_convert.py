"""What NumPy, lists, numbers and torch bring in, as arrays of one of our dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np

FLOATING = ("float32", "float64")
DTYPES = ("float32", "float64", "int32", "int64", "uint8", "bool")

# NumPy dtypes that are none of ours but fit into one of ours without loss.
_WIDENED = {"float16": "float32", "int8": "int32", "int16": "int32", "uint16": "int32", "uint32": "int64"}


def array_dtype(dtype: np.dtype[Any], floating: str | None, what: str) -> str:
    """The dtype under which an array of NumPy's `dtype` enters a graph.

    Floating arrays take the dtype `floating` where it is given. Raises TypeError for object, complex, string
    and date arrays and for integers that do not fit.
    """
    name = dtype.name
    if dtype.kind == "f":
        if floating is not None:
            return floating
        name = _WIDENED.get(name, name)
        return name if name in DTYPES else "float64"
    name = _WIDENED.get(name, name)
    if name in DTYPES:
        return name
    raise TypeError(
        f"{what}: an array of dtype {dtype} cannot be used, expected floating point, signed integers, "
        f"uint8 or bool"
    )


def plain_array(data: Any, what: str = "input") -> np.ndarray:
    """What NumPy makes of an array, a number, nested lists or a torch tensor (detached from its graph).

    Raises TypeError for masked arrays, whose mask NumPy would drop in silence.
    """
    if type(data) is np.ndarray:
        return data
    if type(data).__module__.partition(".")[0] == "torch" and hasattr(data, "detach"):
        tensor = data.detach()
        # NumPy has no bfloat16, and float32 holds its values exactly.
        return (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy(force=True)
    if _holds_mask(data):
        raise TypeError(
            f"{what}: a masked array cannot be used, as its mask would be lost; fill it (x.filled(0)) or "
            f"take the rows that are whole"
        )
    return np.asarray(data)


def _holds_mask(data: Any) -> bool:
    if isinstance(data, np.ndarray):
        # Cheaper than importing numpy.ma, which a process without masked arrays has not done.
        return hasattr(data, "mask") and hasattr(data, "filled")
    if isinstance(data, list | tuple):
        return any(isinstance(item, list | tuple | np.ndarray) and _holds_mask(item) for item in data)
    return False


def as_array(data: Any, what: str = "input") -> np.ndarray:
    """An array of one of our dtypes from an array, a number or nested lists; lists of floats give float32."""
    if isinstance(data, np.ndarray | np.generic):
        array = plain_array(data, what)
        dtype = array_dtype(array.dtype, None, what)
    else:
        try:
            array = plain_array(data, what)
        except ValueError as error:
            raise ValueError(f"{what}: cannot make an array of it: {error}") from None
        from_lists = isinstance(data, list | tuple | float)
        dtype = array_dtype(array.dtype, "float32" if from_lists else None, what)
    return array if array.dtype == dtype else array.astype(dtype)


def is_number(x: object) -> bool:
    return isinstance(x, bool | int | float | np.generic)


def number_dtype(x: Any, like: str | None) -> str:
    """The dtype of a constant made of the number `x` beside a tensor of dtype `like`."""
    if isinstance(x, bool | np.bool_):
        return like or "bool"
    if isinstance(x, int | np.integer):
        return "int64" if like in (None, "bool") else like  # type: ignore[return-value]
    return like if like in FLOATING else "float32"  # type: ignore[return-value]
