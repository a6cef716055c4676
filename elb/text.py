"""Values as text for people. What others wrote (titles, logs, reasons) never reaches the terminal as it is."""

from __future__ import annotations

import unicodedata
from typing import Any

_UNITS = ("kB", "MB", "GB", "TB")


def clean(value: object, *, lines: bool = False) -> str:
    """A value without control characters, which could move the cursor, clear the screen or set its title.

    Args:
        value: anything; None is the empty text.
        lines: keep line ends and tabulators.
    """
    text = "" if value is None else str(value)
    kept = "\n\t" if lines else ""
    return "".join(
        c if c in kept or unicodedata.category(c) not in ("Cc", "Cf", "Cs") else "\N{REPLACEMENT CHARACTER}"
        for c in text
    )


def spell_seconds(seconds: float | None) -> str:
    """``0.4 s``, ``12.0 s``, ``3 min 05 s``, ``2 h 03 min``; empty for None."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def spell_bytes(size: object) -> str:
    """``999 B``, ``1.4 MB``; empty for what is no number."""
    if not isinstance(size, int | float):
        return ""
    if size < 1000:
        return f"{size:.0f} B"
    value = float(size)
    for unit in _UNITS:
        value /= 1000
        if value < 1000 or unit == _UNITS[-1]:
            break
    return f"{value:.1f} {unit}"


def spell_time(text: object) -> str:
    """A time of the API to the second, or empty."""
    return clean(text)[:19].replace("T", " ") if text else ""


def spell_number(value: object) -> str:
    """``1,234``; empty for None, a text as it is."""
    return f"{value:,}" if isinstance(value, int | float) and not isinstance(value, bool) else clean(value)


def spell_progress(progress: Any) -> str:
    """``27 of 40 Jobs, 10 running, 3 pending``; empty before the Jobs are known."""
    if not isinstance(progress, dict) or not progress.get("total"):
        return ""
    parts = [f"{progress.get('succeeded', 0)} of {progress['total']} Jobs"]
    parts += [f"{progress[state]} {state}" for state in ("running", "pending", "failed") if progress.get(state)]
    return ", ".join(parts)


def parse_duration(text: str) -> float:
    """``90``, ``90s``, ``15m`` or ``2h`` as seconds.

    Raises:
        ValueError: it is none of these.
    """
    scale = {"s": 1, "m": 60, "h": 3600}.get(text[-1:], 0)
    number = text[:-1] if scale else text
    if not (number.isascii() and number.isdigit()) or len(number) > 9:
        raise ValueError(text)
    return float(int(number) * (scale or 1))
