"""Numbers, rates, sizes and durations as the screen and the command line write them."""

from __future__ import annotations

import math

from tui.drawing.theme import Glyphs
from tui.state.layer_status import VANISHED


def short_count(count: int) -> str:
    """A count in at most four letters: `12`, `4.7k`, `11M`."""
    if count < 1000:
        return str(count)
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= unit:
            number = count / unit
            return f"{number:.1f}{letter}" if number < 9.95 else f"{number:.0f}{letter}"
    return str(count)


def number(value: float | None, glyphs: Glyphs) -> str:
    """A measured number in at most seven letters."""
    if value is None:
        return glyphs.no_gradient
    if not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if value == 0:
        return "0"
    # Where nothing is left to resolve, digits would only pretend.
    return f"{value:.0e}" if value < VANISHED else f"{value:.1e}"


def format_rate(value: float) -> str:
    """A learning rate in at most six letters: `0`, `1e-3`, `3.7e-4`."""
    if value == 0:
        return "0"
    digits, _, power = f"{value:.1e}".partition("e")
    words = f"{digits.removesuffix('.0')}e{int(power)}"
    return words if len(words) <= 6 else f"{float(digits):.0f}e{int(power)}"


def format_seconds(seconds: float) -> str:
    """Such as `9.8 ms`, `388 ms` or `1.24 s`."""
    if seconds >= 0.9995:
        return f"{seconds:.2f} s"
    return f"{seconds * 1000:.{1 if seconds < 0.09995 else 0}f} ms"


def format_params(params: int) -> str:
    """How many parameters: `1,026`, `5.90 M`, `117 M`."""
    if params < 10_000:
        return f"{params:,}"
    value = params / 1e6
    return f"{value:.2f} M" if value < 100 else f"{value:.0f} M"


def format_ms(milliseconds: float) -> str:
    """Such as `9.8 ms`, `388 ms`, `1.24 s`."""
    if milliseconds >= 999.5:
        return f"{milliseconds / 1000:.2f} s"
    return f"{milliseconds:.{1 if milliseconds < 99.95 else 0}f} ms"


def format_bytes(count: float) -> str:
    """Bytes in decimal units: `940 kB`, `29 MB`, `1.35 GB`."""
    if count < 999.5e3:
        return f"{count / 1e3:.0f} kB"
    if count < 999.5e6:
        return f"{count / 1e6:.{1 if count < 9.95e6 else 0}f} MB"
    return f"{count / 1e9:.2f} GB"


def signed(value: float, words: str) -> str:
    """A difference with its sign, given the words of its size: `+29 MB`, `-0.7 ms`."""
    return f"{'-' if value < 0 else '+'}{words}"


def percent_change(before: float, after: float) -> str:
    """A difference in per cent: `+11 %`, `0 %`."""
    percent = round(100 * (after / before - 1)) if before > 0 else 0
    return f"{signed(percent, str(abs(percent)))} %" if percent else "0 %"
