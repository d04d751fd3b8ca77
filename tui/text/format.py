"""Formatting of numbers, rates, sizes and durations for the screen and the command line."""

from __future__ import annotations

import math

from tui.drawing.theme import Glyphs
from tui.state.layer_status import VANISHED

# --- numbers ------------------------------------------------------------------------------------


def format_count(count: int) -> str:
    """Format a count in at most four characters: `12`, `4.7k`, `11M`."""
    if count < 1000:
        return str(count)
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= unit:
            number = count / unit
            return f"{number:.1f}{letter}" if number < 9.95 else f"{number:.0f}{letter}"
    return str(count)


def format_measured(value: float | None, glyphs: Glyphs) -> str:
    """Format a norm or ratio for the table in at most seven characters: `8.4e-01`, `3e-12`."""
    if value is None:
        return glyphs.no_gradient
    if not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if value == 0:
        return "0"
    # More digits of a vanished value would suggest a precision that it does not have.
    return f"{value:.0e}" if value < VANISHED else f"{value:.1e}"


def format_significant(value: float) -> str:
    """Format a number with about three significant digits: `26.4`, `4.7e-02`, `nan`, `0`."""
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    return f"{value:.3g}" if 0.1 <= abs(value) < 1000 else f"{value:.1e}"


def format_short(value: float) -> str:
    """Format a number in about three characters: `.43`, `1.2`, `36.0`, `4e+08`, `nan`."""
    if not math.isfinite(value):
        return str(value)
    if abs(value) < 0.995:
        return f"{value:.2f}".replace("0.", ".", 1)
    if abs(value) < 100:
        return f"{value:.1f}"
    return f"{value:.0f}" if abs(value) < 1000 else f"{value:.0e}"


def format_loss(loss: float) -> str:
    """Format a loss: `0.431`, or `3.60e+04` from 10,000 on."""
    return f"{loss:.3f}" if not abs(loss) >= 1e4 else f"{loss:.2e}"


def format_narrow_loss(loss: float) -> str:
    """Format a loss in at most seven characters: `0.431`, `3.6e+04`, `nan`."""
    text = f"{loss:.3f}"
    return text if len(text) <= 7 else f"{loss:.1e}"


def format_rate(value: float) -> str:
    """Format a learning rate in at most six characters: `0`, `1e-3`, `3.7e-4`."""
    if value == 0:
        return "0"
    digits, _, power = f"{value:.1e}".partition("e")
    text = f"{digits.removesuffix('.0')}e{int(power)}"
    return text if len(text) <= 6 else f"{float(digits):.0f}e{int(power)}"


def format_factor(factor: float) -> str:
    """Format how many times faster or slower something is: `3.0`, `235`."""
    return f"{factor:.0f}" if factor >= 9.95 else f"{factor:.1f}"


def format_ordinal(number: int) -> str:
    """Format a position: `1st`, `2nd`, `11th`."""
    if 10 <= number % 100 <= 20:
        return f"{number}th"
    return f"{number}{({1: 'st', 2: 'nd', 3: 'rd'}).get(number % 10, 'th')}"


# --- differences --------------------------------------------------------------------------------


def signed(value: float, text: str) -> str:
    """Put the sign of a difference before the text of its absolute value: `+29 MB`, `-0.7 ms`."""
    return f"{'-' if value < 0 else '+'}{text}"


def percent_change(before: float, after: float) -> str:
    """Format a relative difference: `+11 %`, `0 %`."""
    percent = round(100 * (after / before - 1)) if before > 0 else 0
    return f"{signed(percent, str(abs(percent)))} %" if percent else "0 %"


def format_percent(share: float) -> str:
    """Format a share, 1 for all, with two decimals: `0.12 %`, `<0.01 %`, `1,234 %`."""
    percent = 100 * share
    if not math.isfinite(percent):
        return format_significant(percent)
    if 0 < percent < 0.01:
        return "<0.01 %"
    return f"{percent:.2f} %" if percent < 100 else f"{percent:,.0f} %"


# --- sizes --------------------------------------------------------------------------------------


def format_params(params: int, *, unit: bool = True) -> str:
    """Format a number of parameters: `1,026`, `5.90 M`, `117 M`.

    Args:
        params: The number of parameters.
        unit: Append the `M`; False where another number with the unit follows.
    """
    if params < 10_000:
        return f"{params:,}"
    value = params / 1e6
    return (f"{value:.2f}" if value < 100 else f"{value:.0f}") + " M" * unit


def format_bytes(count: float) -> str:
    """Format a size in decimal units: `940 kB`, `29 MB`, `1.35 GB`."""
    if count < 999.5e3:
        return f"{count / 1e3:.0f} kB"
    if count < 999.5e6:
        return f"{count / 1e6:.{1 if count < 9.95e6 else 0}f} MB"
    return f"{count / 1e9:.2f} GB"


def format_memory(total: int, used: int | None) -> str:
    """Format a device's memory in whole gigabytes: `24 GB`, or `1.3/24 GB` with what is used."""
    text = f"{total / 1e9:.0f} GB"
    return f"{used / 1e9:.1f}/{text}" if used else text


# --- durations ----------------------------------------------------------------------------------


def format_ms(milliseconds: float) -> str:
    """Format the duration of a step: `9.8 ms`, `388 ms`, `1.24 s`."""
    if milliseconds >= 999.5:
        return f"{milliseconds / 1000:.2f} s"
    return f"{milliseconds:.{1 if milliseconds < 99.95 else 0}f} ms"


def format_duration(seconds: float) -> str:
    """Format a past duration: `42 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def format_time_left(seconds: float) -> str:
    """Format an estimated remaining time: `40 s left`, `2 min left`, `1 h 20 min left`."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s left"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min left"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min left" if hours < 10 else f"{hours} h left"


def loss_text(loss: float) -> str:
    """Return a loss with three decimals, or in scientific notation from 10,000 on."""
    return f"{loss:.3f}" if not abs(loss) >= 1e4 else f"{loss:.2e}"
