"""The figures of docs/limits.md are those of the code, and what the API limits by a name of its own is there."""

from __future__ import annotations

import importlib
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from shared.config import read_settings

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "limits.md").read_text()
_ROW = re.compile(
    r"^\| (?P<what>[^|]+) \| (?P<most>[0-9][0-9,.]*) \| [^|]* \| [^|]+ \| `(?P<where>[\w.]+)` \|$", re.MULTILINE
)
_LIMIT = re.compile(r"^(?P<name>(?:MAX|MOST)_\w+)\b.*=", re.MULTILINE)
ELSEWHERE = {"triggers.freshness.MAX_SILENT"}
"""No limit of a request or an answer: what a cache holds."""
ROWS = [(row["where"], row["what"], float(row["most"].replace(",", ""))) for row in _ROW.finditer(DOCUMENT)]


def setting(name: str) -> Any:
    """What a setting is by default."""
    found = re.search(rf'(\w+)=read\.\w+\(\s*"{name}"', (ROOT / "shared" / "config.py").read_text())
    assert found, f"{name} is no setting"
    return getattr(read_settings({}), found[1])


def figure(where: str) -> float:
    """The figure that a setting, a constant or a field of a request has in the code."""
    if where.startswith("ELB_"):
        return float(setting(where))
    parts = where.split(".")
    module = next(
        importlib.import_module(".".join(parts[:end]))
        for end in range(len(parts) - 1, 0, -1)
        if (ROOT / Path(*parts[:end])).with_suffix(".py").exists()
    )
    value: Any = module
    for name in parts[len(module.__name__.split(".")) :]:
        is_model = isinstance(value, type) and issubclass(value, BaseModel)
        value = _most(value, name) if is_model else getattr(value, name)
    return float(value.total_seconds() if isinstance(value, timedelta) else value)


def _most(model: type[BaseModel], name: str) -> float:
    """The upper limit of a field."""
    limits = [
        getattr(rule, kind)
        for rule in model.model_fields[name].metadata
        for kind in ("max_length", "le")
        if hasattr(rule, kind)
    ]
    assert len(limits) == 1, f"{model.__name__}.{name} has the limits {limits}"
    return float(limits[0])


@pytest.mark.parametrize(("where", "what", "most"), ROWS, ids=[where for where, _, _ in ROWS])
def test_the_figure_is_the_code_s(where: str, what: str, most: float) -> None:
    assert figure(where) == most


def test_every_row_of_the_tables_is_understood() -> None:
    rows = [line for line in DOCUMENT.splitlines() if line.startswith("| ") and not line.startswith("| what ")]
    assert len(rows) == len(ROWS) >= 40


def test_no_limit_is_there_twice() -> None:
    assert len({where for where, _, _ in ROWS}) == len(ROWS)


@pytest.mark.parametrize("path", sorted((ROOT / "triggers").glob("*.py")), ids=lambda path: path.stem)
def test_what_a_trigger_limits_is_in_the_document(path: Path) -> None:
    named = {f"triggers.{path.stem}.{found['name']}" for found in _LIMIT.finditer(path.read_text())}
    assert named - {where for where, _, _ in ROWS} - ELSEWHERE == set()


@pytest.mark.parametrize(
    "name",
    sorted(
        set(re.findall(r'"(ELB_\w*(?:LIMIT|RATE|SEQUENCES|DAYS)\w*)"', (ROOT / "shared" / "config.py").read_text()))
    ),
)
def test_what_a_setting_limits_is_in_the_document(name: str) -> None:
    assert name in {where for where, _, _ in ROWS}


def test_a_longer_text_is_refused_where_the_table_says_so() -> None:
    """The reader of fields can fail."""
    with pytest.raises(AssertionError):
        figure("triggers.requests.SubmitRequest.engine")
    with pytest.raises(AttributeError):
        figure("triggers.paging.MOST")
