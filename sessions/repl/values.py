"""Any Python value as something JSON can hold.

Decides what each kind of value becomes, so that no value a user has can break a reply. Knows numpy, pandas and Spark
values by their methods only and imports none of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from .columns import first_rows
from .exact import ExactNumber, json_number
from .output import readable

# Python refuses to write longer integers as decimal text (sys.set_int_max_str_digits), and so would the reply.
LONGEST_INT_BITS = 14_000


def jsonable(value: Any) -> Any:
    """`value` as JSON types. NaN and infinities are null, keys are text, what JSON does not know is str(value).

    Raises ValueError for a value that contains itself or an integer too long to write.
    """
    try:
        return _convert(value)
    except RecursionError:
        raise ValueError("the value is nested too deeply, or contains itself") from None


def _convert(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return readable(str(value))
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, ExactNumber):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key_text(key): _convert(item) for key, item in value.items()}
    plain = unwrapped(value)
    if plain is not value:
        return _convert(plain)
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_convert(item) for item in value]
    return readable(str(value))


def _integer(value: int) -> int:
    if value.bit_length() > LONGEST_INT_BITS:
        raise ValueError(f"an integer of {value.bit_length()} bits is too long to write")
    return int(value)


def key_text(key: Any) -> str:
    """The key of a mapping as JSON object keys are written."""
    if isinstance(key, str):
        return readable(str(key))
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    return readable(str(key))


def unwrapped(value: Any) -> Any:
    """A value of Spark, numpy or pandas, or a decimal, as the plain Python value it stands for; others as they are."""
    if is_row(value):
        return value.asDict()
    if is_spark_frame(value):
        return first_rows(value)
    if is_pandas_frame(value):
        return value.to_dict("records")
    if hasattr(type(value), "__UDT__"):
        return _stored(value)
    if type(value).__module__.partition(".")[0] in ("numpy", "pandas"):
        # item() is for scalars only, and an array of one element is no scalar.
        methods = ("item",) if getattr(value, "ndim", 0) == 0 else ("tolist", "to_list", "to_dict")
        for method in methods:
            if hasattr(value, method):
                return getattr(value, method)()
    if isinstance(value, Decimal):
        return json_number(value) if value.is_finite() else None
    return value


def _stored(value: Any) -> Any:
    """What Spark stores of a value of a user-defined type; a struct by the names of its fields."""
    kind = type(value).__UDT__
    parts, names = kind.serialize(value), getattr(kind.sqlType(), "names", None)
    return parts if parts is None or names is None else dict(zip(names, parts))


def is_row(value: Any) -> bool:
    """True for a pyspark Row, known by name as Livy does."""
    return isinstance(value, tuple) and type(value).__name__ == "Row" and hasattr(value, "asDict")


def is_pandas_frame(value: Any) -> bool:
    """True for a pandas DataFrame."""
    return type(value).__name__ == "DataFrame" and type(value).__module__.partition(".")[0] == "pandas"


def is_spark_frame(value: Any) -> bool:
    """True for a Spark DataFrame."""
    return type(value).__name__ == "DataFrame" and type(value).__module__.partition(".")[0] == "pyspark"
