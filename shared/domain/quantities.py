"""Kubernetes quantities: ``8Gi``, ``500m`` (apimachinery, "Quantity")."""

from __future__ import annotations

import re
from fractions import Fraction

_QUANTITY = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:[eE]([+-]?[0-9]{1,3})|([numkMGTPE]|[KMGTPE]i)?)")
_UNITS: dict[str, Fraction] = {
    "": Fraction(1),
    **{unit: Fraction(1, 1000**power) for power, unit in enumerate("mun", 1)},
    **{unit: Fraction(1000**power) for power, unit in enumerate("kMGTPE", 1)},
    **{f"{unit}i": Fraction(1024**power) for power, unit in enumerate("KMGTPE", 1)},
}


def parse_quantity(text: str) -> float:
    """A Kubernetes quantity as a number: ``8Gi`` -> 8589934592, ``500m`` -> 0.5, ``12e3`` -> 12000.

    Raises:
        ValueError: the text is not a quantity.
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"not a Kubernetes quantity: {text!r}")
    return float(Fraction(match[1]) * Fraction(10) ** int(match[2] or 0) * _UNITS[match[3] or ""])
