"""The events that the app emits, read from its code, and those that docs/monitoring.md has; the queries, parsed.

An event is a call of ``log_event`` or ``log_event_once``. Its fields are the call's keywords and what ``**name`` stands
for, where that is a dictionary written out in the same function.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
APP = ("triggers", "orchestrators", "activities", "shared")
QUERIES = ROOT / "infra" / "portal" / "kql"
DOCUMENT = ROOT / "docs" / "monitoring.md"
BY_CODE = "<code>"
"""Stands for the events whose names are no literals: named after the error, or the step, that they tell of."""
SCHEMA = {
    "AppTraces": "(TimeGenerated: datetime, Message: string, SeverityLevel: int, ItemCount: int, Properties: dynamic,"
    " OperationId: string, OperationName: string, AppRoleName: string)",
    "AppRequests": "(TimeGenerated: datetime, Name: string, ResultCode: string, Success: bool, DurationMs: real,"
    " ItemCount: int, Properties: dynamic, OperationId: string, OperationName: string, AppRoleName: string)",
}
"""Columns of the tables, as far as queries may use them (Azure Monitor Logs reference, "AppTraces", "AppRequests")."""
_ROW = re.compile(r"^\| `([^`]+)` \| ([^|]*) \|")
_CALLS = {"log_event": 0, "log_event_once": 1}
"""Function -> where among its arguments the event's name is."""


@dataclass(slots=True)
class Emitted:
    """An event as the code has it.

    Attributes:
        fields: of all its calls together.
        is_open: whether a call has fields that cannot be read from the code.
        calls: how many there are.
    """

    fields: set[str] = field(default_factory=set)
    is_open: bool = False
    calls: int = 0


@dataclass(frozen=True, slots=True)
class Query:
    """What the parser says of a query; see ``kql.cjs``."""

    errors: list[str]
    tables: list[str]
    events: list[str]
    fields: list[str]
    columns: list[str]


@cache
def emitted() -> dict[str, Emitted]:
    """The app's events by name."""
    found: dict[str, Emitted] = {}
    for path in sorted(path for folder in APP for path in (ROOT / folder).rglob("*.py")):
        if path.name != "telemetry.py":
            for call, function in _calls(ast.parse(path.read_text())):
                _add(found, call, function)
    return found


def _calls(tree: ast.AST, function: ast.AST | None = None) -> Iterator[tuple[ast.Call, ast.AST]]:
    for node in ast.iter_child_nodes(tree):
        inside = node if isinstance(node, ast.FunctionDef) else function or tree
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLS:
            yield node, inside
        yield from _calls(node, inside)


def _add(found: dict[str, Emitted], call: ast.Call, function: ast.AST) -> None:
    assert isinstance(call.func, ast.Name)
    name = call.args[_CALLS[call.func.id]]
    known = isinstance(name, ast.Constant) and isinstance(name.value, str)
    event = found.setdefault(str(name.value) if known and isinstance(name, ast.Constant) else BY_CODE, Emitted())
    event.calls += 1
    for keyword in call.keywords:
        if keyword.arg is not None:
            event.fields |= {keyword.arg} - {"level"}
            continue
        keys = _keys(keyword.value, function)
        event.fields |= set(keys or ())
        event.is_open |= keys is None


def _keys(value: ast.expr, function: ast.AST) -> list[str] | None:
    """Keys of the dictionary that a name stands for in a function; None where they are not written out there."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign):
            targets = [node.target]
        else:
            continue
        if not any(isinstance(value, ast.Name) and isinstance(t, ast.Name) and t.id == value.id for t in targets):
            continue
        assigned = node.value
        if isinstance(assigned, ast.Dict) and all(isinstance(key, ast.Constant) for key in assigned.keys):
            return [str(key.value) for key in assigned.keys if isinstance(key, ast.Constant)]
    return None


@cache
def documented() -> dict[str, set[str]]:
    """Events of docs/monitoring.md by name, with their fields."""
    section = DOCUMENT.read_text().partition("\n## Events\n")[2].partition("\n## ")[0]
    rows = [found for line in section.splitlines() if (found := _ROW.match(line))]
    return {row[1]: set(re.findall(r"`([a-z_]+)`", row[2])) for row in rows}


def row_of(name: str) -> str:
    """The row that docs/monitoring.md has to have for an event, but for what it means."""
    return f"| `{name}` | {', '.join(f'`{each}`' for each in sorted(emitted()[name].fields))} | ... |"


@cache
def queries() -> dict[str, Query]:
    """All queries by the names of their files, parsed and checked in one run of the parser."""
    texts = {path.name: path.read_text() for path in sorted(QUERIES.glob("*.kql"))}
    return parse(texts)


def parse(texts: dict[str, str]) -> dict[str, Query]:
    """Parse and check queries."""
    said = subprocess.run(
        ["node", str(Path(__file__).with_name("kql.cjs"))],
        input=json.dumps({"tables": SCHEMA, "queries": texts}),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert said.returncode == 0, f"is the parser there? npm ci --prefix tests/portal\n{said.stderr[-2000:]}"
    return {name: Query(**found) for name, found in json.loads(said.stdout).items()}
