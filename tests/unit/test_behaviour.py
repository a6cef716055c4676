"""The behaviour check itself: what it counts, and that it fails when it should."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from tests import behaviour
from tests.behaviour import Line, Proof

type Tree = Callable[..., Path]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Writes files below ``tests`` in a temporary repository and returns that folder."""

    def write(**files: str) -> Path:
        folder = tmp_path / "tests" / "unit"
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / f"{name}.py").write_text(dedent(text))
        return tmp_path / "tests"

    return write


@pytest.fixture
def document(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "behaviour.md"
        path.write_text(dedent(text))
        return path

    return write


class TestLines:
    def test_rows_are_read_in_order_and_other_tables_are_not(self, document: Callable[[str], Path]) -> None:
        path = document("""\
            # What must be true
            | id | state | what must be true |
            |---|---|---|
            | S1 | proved | first |
            | S10 | planned | second, with more columns | 5 s |

            | setting | default |
            |---|---|
            | `ELB_X` | 1 |
            """)
        assert behaviour.read_lines(path) == (
            [Line("S1", "proved", "first"), Line("S10", "planned", "second, with more columns")],
            [],
        )

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("| S1 | planned | a |\n| S1 | proved | b |\n", "behaviour.md:2: S1 is there twice"),
            ("| S1 | done | a |\n", "behaviour.md:1: S1 is 'done', must be 'planned' or 'proved'"),
            ("| S1 |  | a |\n", "behaviour.md:1: S1 is '', must be 'planned' or 'proved'"),
            ("# nothing\n", "behaviour.md: no line of the form '| S1 | planned | what must be true |'"),
        ],
    )
    def test_a_broken_document_is_named(self, document: Callable[[str], Path], text: str, problem: str) -> None:
        assert behaviour.read_lines(document(text))[1] == [problem]


class TestProofs:
    @pytest.mark.parametrize(
        ("source", "expected"),
        [
            ('@pytest.mark.proves("S3")\ndef test_a(): ...', [("S3", "test_a")]),
            ('@mark.proves("S3", "T1")\nasync def test_a(): ...', [("S3", "test_a"), ("T1", "test_a")]),
            ('pytestmark = pytest.mark.proves("S3")\ndef test_a(): ...', [("S3", "test_a")]),
            ('pytestmark = [pytest.mark.slow, pytest.mark.proves("S3")]\ndef test_a(): ...', [("S3", "test_a")]),
            ('pytestmark: list[M] = [pytest.mark.proves("S3")]\ndef test_a(): ...', [("S3", "test_a")]),
            (
                '@pytest.mark.proves("S3")\nclass TestA:\n    def test_a(self): ...\n    def test_b(self): ...',
                [("S3", "TestA::test_a"), ("S3", "TestA::test_b")],
            ),
            (
                'class TestA:\n    pytestmark = pytest.mark.proves("S3")\n'
                '    @pytest.mark.proves("T1")\n    def test_a(self): ...',
                [("S3", "TestA::test_a"), ("T1", "TestA::test_a")],
            ),
            (
                'class TestA:\n    class TestB:\n        @pytest.mark.proves("S3")\n        def test_a(self): ...',
                [("S3", "TestA::TestB::test_a")],
            ),
            (
                '@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.proves("S3"))])\ndef test_a(x): ...',
                [("S3", "test_a")],
            ),
            ('@pytest.mark.proves("S3")\n@pytest.mark.proves("S3")\ndef test_a(): ...', [("S3", "test_a")]),
            ('@pytest.mark.skipif(W, reason="")\n@pytest.mark.proves("S3")\ndef test_a(): ...', [("S3", "test_a")]),
            ('@pytest.mark.skip(reason="x")\n@pytest.mark.proves("S3")\ndef test_a(): ...', []),
            ('@pytest.mark.xfail\n@pytest.mark.proves("S3")\ndef test_a(): ...', []),
            ('pytestmark = pytest.mark.skip\n@pytest.mark.proves("S3")\ndef test_a(): ...', []),
            ("SOURCE = '@pytest.mark.proves(\"S3\")'\ndef test_a(): ...", []),
        ],
    )
    def test_a_mark_counts_where_pytest_applies_it(
        self, tree: Tree, source: str, expected: list[tuple[str, str]]
    ) -> None:
        proofs, problems = behaviour.collect_proofs(tree(test_x=source))
        assert problems == []
        assert proofs == [Proof(id, f"tests/unit/test_x.py::{test}") for id, test in expected]

    @pytest.mark.parametrize(
        ("name", "source"),
        [
            ("test_x", '@pytest.mark.proves("S3")\ndef helper(): ...'),
            ("test_x", 'class Rules:\n    @pytest.mark.proves("S3")\n    def test_a(self): ...'),
            ("test_x", 'rule = pytest.mark.proves("S3")\n@rule\ndef test_a(): ...'),
            ("fakes", '@pytest.mark.proves("S3")\ndef test_a(): ...'),
        ],
    )
    def test_a_mark_that_pytest_would_not_apply_is_a_problem(self, tree: Tree, name: str, source: str) -> None:
        proofs, (problem,) = behaviour.collect_proofs(tree(**{name: source}))
        assert proofs == []
        assert problem.startswith(f"tests/unit/{name}.py:")
        assert problem.endswith("this proves mark is not on a test that pytest collects")

    @pytest.mark.parametrize("arguments", ["", "*IDS", "S3", '"S3", RULE', 'id="S3"', "3"])
    def test_ids_must_be_readable_without_running_the_test(self, tree: Tree, arguments: str) -> None:
        source = f"@pytest.mark.proves({arguments})\ndef test_a(): ..."
        _, problems = behaviour.collect_proofs(tree(test_x=source))
        assert problems == ['tests/unit/test_x.py:1: proves takes ids as plain strings: proves("S1", "S2")']

    def test_a_file_that_is_not_python_is_named(self, tree: Tree) -> None:
        _, (problem,) = behaviour.collect_proofs(tree(test_x="def test_a(:\n"))
        assert problem.startswith("tests/unit/test_x.py:1: cannot be read: ")


class TestCheck:
    @pytest.mark.parametrize(
        ("state", "claims", "problems"),
        [
            ("planned", [], []),
            ("planned", ["S1"], []),
            ("proved", ["S1"], []),
            ("proved", [], ["S1 is marked proved, but no test proves it"]),
            ("planned", ["S2"], ["t proves S2, which is not a line"]),
            (
                "proved",
                ["S11"],
                ["S1 is marked proved, but no test proves it", "t proves S11, which is not a line"],
            ),
        ],
    )
    def test_document_and_tests_must_agree(self, state: str, claims: list[str], problems: list[str]) -> None:
        assert behaviour.check([Line("S1", state, "")], [Proof(id, "t") for id in claims]) == problems

    def test_the_report_counts_tests_and_says_which_lines_could_be_proved(self) -> None:
        lines = [Line("S1", "proved", ""), Line("S2", "planned", ""), Line("S3", "planned", "")]
        proofs = [Proof("S1", "a"), Proof("S1", "b"), Proof("S1", "b"), Proof("S2", "a")]
        assert behaviour.report(lines, proofs).splitlines() == [
            "S1   proved   2 tests",
            "       a",
            "       b",
            "S2   planned  1 test",
            "       a",
            "S3   planned  0 tests",
            "1 of 3 lines are proved, 2 are planned",
            "planned, though tests claim them: S2",
        ]


class TestCommand:
    def test_a_proved_line_without_a_test_fails_and_is_named(
        self, tree: Tree, document: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        path, tests = document("| S1 | proved | a |\n"), tree(test_x="def test_a(): ...")
        assert behaviour.main(path, tests) == 1
        assert capsys.readouterr().err == "behaviour: S1 is marked proved, but no test proves it\n"

        tree(test_x='@pytest.mark.proves("S1")\ndef test_a(): ...')
        assert behaviour.main(path, tests) == 0
        assert capsys.readouterr().err == ""

    def test_the_repository_passes_its_own_check(self) -> None:
        command = [sys.executable, "-m", "tests.behaviour"]
        done = subprocess.run(command, cwd=behaviour.ROOT, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert "lines are proved" in done.stdout
