"""The one codec for text: journal lines and standard output.

JSON has no NaN. msgspec would write `null`, which here means "no gradient", and the standard
library writes `NaN`, which other readers refuse; so a number that is not finite becomes one of
the strings "nan", "inf", "-inf", and comes back as the number.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def dumps(value: Any) -> str:
    """One line of strict JSON, without the newline, from builtins and msgspec structs."""
    return msgspec.json.encode(_finite(msgspec.to_builtins(value))).decode()


def loads(line: str | bytes) -> Any:
    """The inverse of `dumps` for the numbers: "nan", "inf" and "-inf" are floats again.

    Raises:
        msgspec.DecodeError: the line is not JSON.
    """

    def back(value: Any) -> Any:
        if isinstance(value, str):
            return _NOT_FINITE.get(value, value)
        if isinstance(value, dict):
            return {key: back(item) for key, item in value.items()}
        if isinstance(value, list):
            return [back(item) for item in value]
        return value

    return back(msgspec.json.decode(line))
