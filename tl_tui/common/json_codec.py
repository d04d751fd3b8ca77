"""Encode and decode JSON with numbers that are not finite, for the journal and standard output.

JSON has no NaN. msgspec writes `null`, which has another meaning in the journal ("no gradient"),
and the standard library writes `NaN`, which other readers refuse. Here such a number is written as
one of the strings "nan", "inf" and "-inf", and read as a number again.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from tl_tui.common.plain_text import encodable

_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def _writable(value: Any) -> Any:
    """Replace numbers that are not finite by strings, and texts that cannot be encoded."""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, dict):
        return {encodable(str(key)): _writable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_writable(item) for item in value]
    return value


def dumps(value: Any) -> str:
    """Return builtins and msgspec structs as one line of strict JSON, without the newline."""
    return msgspec.json.encode(_writable(msgspec.to_builtins(value))).decode()


def loads(line: str | bytes) -> Any:
    """Return the value of a line of JSON, with "nan", "inf" and "-inf" as floats.

    Raises:
        msgspec.DecodeError: The line is not JSON.
    """

    def restore(value: Any) -> Any:
        if isinstance(value, str):
            return _NOT_FINITE.get(value, value)
        if isinstance(value, dict):
            return {key: restore(item) for key, item in value.items()}
        if isinstance(value, list):
            return [restore(item) for item in value]
        return value

    return restore(msgspec.json.decode(line))
