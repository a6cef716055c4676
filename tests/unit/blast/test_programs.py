"""What the five programs differ in."""

from __future__ import annotations

import pytest

from shared.domain.errors import InvalidInputError
from shared.domain.programs import (
    TASKS,
    DatabaseType,
    Program,
    check_task,
    database_type,
    default_batch_length,
    default_task,
    query_alphabet,
    tabular_order_is_exact,
)


@pytest.mark.parametrize(
    ("program", "database", "query_has_e"),
    [
        ("blastn", "nucl", False),
        ("blastp", "prot", True),
        ("blastx", "prot", False),
        ("tblastn", "nucl", True),
        ("tblastx", "nucl", False),
    ],
)
def test_types(program: str, database: str, query_has_e: bool) -> None:
    assert database_type(Program(program)) is DatabaseType(database)
    assert (ord("E") in query_alphabet(Program(program))) is query_has_e


@pytest.mark.parametrize(
    ("program", "task", "length"),
    [
        ("blastn", None, 5_000_000),
        ("blastn", "megablast", 5_000_000),
        ("blastn", "blastn", 1_000_000),
        ("blastn", "dc-megablast", 1_000_000),
        ("blastn", "blastn-short", 1_000_000),
        ("blastp", None, 10_000),
        ("blastp", "blastp-fast", 10_000),
        ("blastx", None, 20_004),
        ("tblastn", "tblastn", 20_000),
        ("tblastx", None, 100_000),
    ],
)
def test_default_batch_length(program: str, task: str | None, length: int) -> None:
    assert default_batch_length(Program(program), task) == length


def test_default_task_is_the_first() -> None:
    assert default_task(Program.BLASTN) == "megablast"
    assert default_task(Program.TBLASTX) is None


@pytest.mark.parametrize(
    ("program", "task", "exact"),
    [
        ("blastn", None, True),
        ("blastn", "blastn", True),
        ("blastn", "dc-megablast", True),
        ("blastn", "blastn-short", False),
        ("blastp", None, False),
        ("blastx", "blastx-fast", False),
        ("tblastn", None, False),
        ("tblastx", None, False),
    ],
)
def test_where_the_order_follows_from_what_is_printed(program: str, task: str | None, exact: bool) -> None:
    assert tabular_order_is_exact(Program(program), task) is exact


@pytest.mark.parametrize("program", list(Program))
def test_allowed_tasks(program: Program) -> None:
    for task in (None, *TASKS[program]):
        check_task(program, task)


@pytest.mark.parametrize(("program", "task"), [("blastn", "blastp"), ("blastp", "megablast"), ("tblastx", "tblastx")])
def test_unknown_task_is_refused_by_name(program: str, task: str) -> None:
    with pytest.raises(InvalidInputError, match=f"'{task}'") as refused:
        check_task(Program(program), task)
    assert refused.value.code == "unknown_task"
    assert refused.value.field == "options.task"
