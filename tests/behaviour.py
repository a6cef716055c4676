"""Says which test proves which line of docs/behaviour.md, so that "proved" cannot be written down and then rot.

``make behaviour`` and ``make check`` run it as ``python -m tests.behaviour``. The tests are read, not imported
(``ast``), so it takes no time, needs no service and works on a tree that does not even import. It fails when

- a line marked ``proved`` has no test, or only tests that are marked ``skip`` or ``xfail``,
- a test claims an id that docs/behaviour.md does not have,
- a ``proves`` mark stands where pytest would not find it, or its ids cannot be read without running the code,
- docs/behaviour.md itself has an id twice or a state other than ``planned`` and ``proved``.

A mark counts as a decorator of a test function or class, inside a decorator (``pytest.param(..., marks=...)``)
and in a ``pytestmark`` of a module or class. ``skipif`` does not make a test worthless; ``skip`` does.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "behaviour.md"
TESTS = ROOT / "tests"

PLANNED, PROVED = "planned", "proved"
_ROW = re.compile(r"^\|\s*(?P<id>[A-Z]\d+)\s*\|\s*(?P<state>[^|]*?)\s*\|\s*(?P<text>[^|]*?)\s*\|")
_WORTHLESS = frozenset({"skip", "xfail"})


@dataclass(frozen=True, slots=True)
class Line:
    """One row of docs/behaviour.md."""

    id: str
    state: str
    text: str


@dataclass(frozen=True, slots=True)
class Proof:
    """One test's claim to prove one line. ``test`` is its pytest node id."""

    id: str
    test: str


@dataclass(frozen=True, slots=True)
class _Marks:
    """What decorators and ``pytestmark`` say about everything below them."""

    ids: tuple[str, ...] = ()
    worthless: bool = False

    def __add__(self, other: _Marks) -> _Marks:
        return _Marks(self.ids + other.ids, self.worthless or other.worthless)


def read_lines(document: Path) -> tuple[list[Line], list[str]]:
    """The lines of docs/behaviour.md in their order, and what is wrong with the document."""
    lines: dict[str, Line] = {}
    problems: list[str] = []
    for number, row in enumerate(document.read_text(encoding="utf-8").splitlines(), start=1):
        if not (found := _ROW.match(row)):
            continue
        line = Line(found["id"], found["state"], found["text"])
        if line.id in lines:
            problems.append(f"{document.name}:{number}: {line.id} is there twice")
        if line.state not in (PLANNED, PROVED):
            problems.append(f"{document.name}:{number}: {line.id} is {line.state!r}, must be {PLANNED!r} or {PROVED!r}")
        lines.setdefault(line.id, line)
    if not lines:
        problems.append(f"{document.name}: no line of the form '| S1 | {PLANNED} | what must be true |'")
    return list(lines.values()), problems


def collect_proofs(tests: Path) -> tuple[list[Proof], list[str]]:
    """Every claim under ``tests``, and the marks that cannot be counted.

    Args:
        tests: the folder whose ``*.py`` files are read; node ids are relative to its parent, where pytest runs.
    """
    proofs: list[Proof] = []
    problems: list[str] = []
    for path in sorted(tests.rglob("*.py")):
        module = _Module(path, path.relative_to(tests.parent).as_posix())
        proofs += module.proofs
        problems += module.problems
    return proofs, problems


def check(lines: Sequence[Line], proofs: Sequence[Proof]) -> list[str]:
    """What does not hold between the document and the tests, one sentence each; empty when all is well."""
    known, claimed = {line.id for line in lines}, {proof.id for proof in proofs}
    unproved = [
        f"{line.id} is marked {PROVED}, but no test proves it"
        for line in lines
        if line.state == PROVED and line.id not in claimed
    ]
    strays = [f"{proof.test} proves {proof.id}, which is not a line" for proof in proofs if proof.id not in known]
    return unproved + strays


def report(lines: Sequence[Line], proofs: Sequence[Proof]) -> str:
    """The lines with the tests that prove them, and a sum at the end."""
    out: list[str] = []
    for line in lines:
        tests = list(dict.fromkeys(proof.test for proof in proofs if proof.id == line.id))
        out.append(f"{line.id:<4} {line.state:<8} {len(tests)} test{'' if len(tests) == 1 else 's'}")
        out += [f"       {test}" for test in tests]
    claimed = {proof.id for proof in proofs}
    proved = sum(line.state == PROVED for line in lines)
    ahead = [line.id for line in lines if line.state == PLANNED and line.id in claimed]
    out.append(f"{proved} of {len(lines)} lines are proved, {len(lines) - proved} are planned")
    if ahead:
        out.append(f"planned, though tests claim them: {', '.join(ahead)}")
    return "\n".join(out)


def main(document: Path = DOCUMENT, tests: Path = TESTS) -> int:
    """Print the report, then the problems; 1 when there are any."""
    lines, problems = read_lines(document)
    proofs, unread = collect_proofs(tests)
    problems += unread + check(lines, proofs)
    print(report(lines, proofs))
    for problem in problems:
        print(f"behaviour: {problem}", file=sys.stderr)
    return 1 if problems else 0


class _Module:
    """The claims of one file."""

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        self.proofs: list[Proof] = []
        self.problems: list[str] = []
        try:
            tree = ast.parse(path.read_bytes(), filename=name)
        except SyntaxError as error:
            self.problems.append(f"{name}:{error.lineno}: cannot be read: {error.msg}")
            return
        self._counted: set[ast.Call] = set()
        if path.name.startswith("test_") or path.name.endswith("_test.py"):
            self._scope(tree.body, (name,), self._pytestmark(tree.body))
        for call in _proves_calls(tree):
            if call not in self._counted:
                self._problem(call, "this proves mark is not on a test that pytest collects")

    def _scope(self, body: Sequence[ast.stmt], path: tuple[str, ...], inherited: _Marks) -> None:
        """Count the tests directly in a module's or class's body."""
        for node in body:
            if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
                own = self._marks(node.decorator_list) + self._pytestmark(node.body)
                self._scope(node.body, (*path, node.name), inherited + own)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
                marks = inherited + self._marks(node.decorator_list)
                if not marks.worthless:
                    test = "::".join((*path, node.name))
                    self.proofs += [Proof(id, test) for id in dict.fromkeys(marks.ids)]

    def _pytestmark(self, body: Sequence[ast.stmt]) -> _Marks:
        values: list[ast.expr] = []
        for node in body:
            match node:
                case (
                    ast.Assign(targets=[ast.Name(id="pytestmark")], value=value)
                    | ast.AnnAssign(target=ast.Name(id="pytestmark"), value=ast.expr() as value)
                ):
                    values += value.elts if isinstance(value, ast.List | ast.Tuple) else [value]
                case _:
                    pass
        return self._marks(values)

    def _marks(self, expressions: Sequence[ast.expr]) -> _Marks:
        ids: list[str] = []
        for expression in expressions:
            for call in _proves_calls(expression):
                self._counted.add(call)
                ids += self._ids(call)
        return _Marks(tuple(ids), any(_mark_name(expression) in _WORTHLESS for expression in expressions))

    def _ids(self, call: ast.Call) -> list[str]:
        ids = [arg.value for arg in call.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        if not call.args or call.keywords or len(ids) != len(call.args):
            self._problem(call, 'proves takes ids as plain strings: proves("S1", "S2")')
        return ids

    def _problem(self, node: ast.expr, what: str) -> None:
        self.problems.append(f"{self.name}:{node.lineno}: {what}")


def _mark_name(expression: ast.expr) -> str:
    """``xfail`` of ``pytest.mark.xfail``, ``mark.xfail`` and ``pytest.mark.xfail(...)``; empty for anything else."""
    match expression.func if isinstance(expression, ast.Call) else expression:
        case ast.Attribute(value=ast.Attribute(attr="mark") | ast.Name(id="mark"), attr=name):
            return name
        case _:
            return ""


def _proves_calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call) and _mark_name(node) == "proves")


if __name__ == "__main__":
    sys.exit(main())
