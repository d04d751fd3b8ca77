"""Lines are strict JSON, and numbers that are not finite survive."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from hypothesis import given
from hypothesis import strategies as st

from tl_tui.common import json_codec
from tl_tui.protocol.training import LayerMeasurement

texts = st.text().filter(lambda text: text not in ("nan", "inf", "-inf"))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def refuse(constant: str) -> NoReturn:
    raise AssertionError(f"{constant} is not JSON")


@given(values)
def test_lines_are_strict_json_and_read_back(value: Any) -> None:
    line = json_codec.dumps(value)
    assert "\n" not in line
    json.loads(line, parse_constant=refuse)
    assert repr(json_codec.loads(line)) == repr(value)


def test_numbers_that_are_not_finite_are_not_null() -> None:
    """In the journal, null means that there was no gradient."""
    line = json_codec.dumps([math.nan, math.inf, -math.inf, None])
    assert json.loads(line) == ["nan", "inf", "-inf", None]


def test_messages_can_be_encoded() -> None:
    measured = LayerMeasurement("updated", math.nan, 1.0, None, 3, math.inf)
    assert json.loads(json_codec.dumps(measured)) == ["updated", "nan", 1.0, None, 3, "inf"]
