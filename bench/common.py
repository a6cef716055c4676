"""What all benchmarks share: the machine, figures with their limits, the table and the JSON that are printed."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Json = dict[str, Any]
_COLUMNS = ("what", "n", "median", "p95", "max", "unit", "limit", "kept")


@dataclass(frozen=True, slots=True)
class Options:
    """How a benchmark is to be run.

    Attributes:
        quick: small numbers, to see that it runs; its figures say nothing.
        folder: for stacks and files; the caller removes it.
    """

    quick: bool
    folder: Path

    def count(self, usual: int, quick: int) -> int:
        """The number that goes with the kind of run."""
        return quick if self.quick else usual


@dataclass(frozen=True, slots=True)
class Figure:
    """Measured values, and what they must not exceed.

    Attributes:
        what: names them in the table.
        values: each as measured, in the order of measuring.
        unit: ``s``, ``ms``, or what was counted.
        limit: the largest value allowed; None where there is none.
        statistic: which of ``median``, ``p95`` and ``max`` is held against the limit.
    """

    what: str
    values: Sequence[float]
    unit: str
    limit: float | None = None
    statistic: str = "max"

    def number(self, statistic: str) -> float:
        """One statistic of the values."""
        return percentile(self.values, {"median": 0.5, "p95": 0.95, "max": 1.0}[statistic])

    @property
    def kept(self) -> bool | None:
        """Whether the limit is kept; None where there is none."""
        return None if self.limit is None else self.number(self.statistic) <= self.limit

    def to_dict(self) -> Json:
        """As JSON."""
        numbers = {name: round(self.number(name), 4) for name in ("median", "p95", "max")}
        limit = {"limit": self.limit, "statistic": self.statistic, "kept": self.kept} if self.limit is not None else {}
        values = [round(value, 4) for value in self.values]
        return {"what": self.what, "n": len(values), **numbers, "unit": self.unit, **limit, "values": values}

    def cells(self) -> tuple[str, ...]:
        """A line of the table; one value has no percentiles."""
        numbers = [f"{self.number(name):.{self._digits}f}" for name in ("median", "p95", "max")]
        if len(self.values) == 1:
            numbers = [numbers[0], "", ""]
        limit = "" if self.limit is None else f"{self.statistic} <= {self.limit:g}"
        kept = {None: "", True: "yes", False: "NO"}[self.kept]
        return (self.what, str(len(self.values)), *numbers, self.unit, limit, kept)

    @property
    def _digits(self) -> int:
        return {"s": 3, "ms": 1}.get(self.unit, 2 if any(value != int(value) for value in self.values) else 0)


@dataclass(frozen=True, slots=True)
class Section:
    """One table.

    Attributes:
        notes: how it was measured, for whoever reads the figures without the code.
    """

    title: str
    figures: Sequence[Figure]
    notes: Sequence[str] = ()

    def to_dict(self) -> Json:
        """As JSON."""
        return {
            "title": self.title,
            "figures": [figure.to_dict() for figure in self.figures],
            "notes": list(self.notes),
        }


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that is not exceeded by at least this share of all (nearest rank); a median of two is a mean.

    Args:
        values: at least one.
        share: from 0 to 1.
    """
    ranked = sorted(values)
    rank = max(math.ceil(share * len(ranked)), 1)
    if share == 0.5 and len(ranked) % 2 == 0:
        return (ranked[rank - 1] + ranked[rank]) / 2
    return ranked[rank - 1]


@dataclass(frozen=True, slots=True)
class Machine:
    """What the figures were measured on."""

    cores: int
    cpu: str
    memory_gib: float
    system: str
    python: str

    @classmethod
    def this(cls) -> Machine:
        """The present one, as Linux describes it."""
        return cls(
            cores=len(os.sched_getaffinity(0)),
            cpu=_line_of("/proc/cpuinfo", "model name") or platform.machine(),
            memory_gib=round(int(_line_of("/proc/meminfo", "MemTotal").split()[0]) / 2**20, 1),
            system=f"{platform.system()} {platform.release()}",
            python=platform.python_version(),
        )

    def __str__(self) -> str:
        return f"{self.cores} cores, {self.cpu}, {self.memory_gib:g} GiB, {self.system}, Python {self.python}"


@dataclass(slots=True)
class Report:
    """One run of one benchmark: its tables, the machine, and how busy that was."""

    name: str
    quick: bool
    machine: Machine = field(default_factory=Machine.this)
    begun_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    load_at_start: tuple[float, float, float] = field(default_factory=os.getloadavg)
    load_at_end: tuple[float, float, float] = (0.0, 0.0, 0.0)
    sections: Sequence[Section] = ()

    def end(self, sections: Sequence[Section]) -> Report:
        """Keep what was measured, and how busy the machine is now."""
        self.sections = sections
        self.load_at_end = os.getloadavg()
        return self

    def to_dict(self) -> Json:
        """As JSON."""
        return {
            "benchmark": self.name,
            "quick": self.quick,
            "begun_at": self.begun_at,
            "machine": asdict(self.machine),
            "load_average": {"start": list(self.load_at_start), "end": list(self.load_at_end)},
            "sections": [section.to_dict() for section in self.sections],
        }

    def text(self) -> str:
        """What is printed for people."""
        start, end = (" ".join(f"{value:.2f}" for value in load) for load in (self.load_at_start, self.load_at_end))
        lines = [f"== {self.name}" + (" (quick: the figures say nothing)" if self.quick else "")]
        lines += [f"machine: {self.machine}", f"load average (1, 5, 15 min): {start} at the start, {end} at the end"]
        for section in self.sections:
            lines += ["", section.title, *_table(section.figures), *(f"  {note}" for note in section.notes)]
        return "\n".join(lines) + "\n"

    def save(self, path: Path) -> None:
        """Write the JSON; folders are made."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.to_dict(), indent=1) + "\n")


def _table(figures: Sequence[Figure]) -> list[str]:
    rows = [_COLUMNS, *(figure.cells() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    # Words to the left, numbers to the right.
    marks = ("<", ">", ">", ">", ">", "<", "<", "<")
    cells = [[f"{cell:{mark}{width}}" for cell, mark, width in zip(row, marks, widths, strict=True)] for row in rows]
    return ["  " + "  ".join(row).rstrip() for row in cells]


def _line_of(path: str, name: str) -> str:
    """The value of the first ``name: value`` in a file of the kernel; empty when there is none."""
    for line in Path(path).read_text().splitlines():
        if line.startswith(name):
            return line.partition(":")[2].strip()
    return ""
