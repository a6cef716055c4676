"""Which searches a list shows."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shared.domain.search import ClusterRef, Search
from shared.domain.search_filter import EVERYTHING, SearchFilter
from shared.domain.states import Phase

SEARCH = Search(
    job_id="job",
    owner="owner",
    program="blastn",
    database="core_nt",
    cluster=ClusterRef("s", "g", "c", "a"),
    created_at=datetime(2026, 1, 2, tzinfo=UTC),
    title="Coral REEF Käfer",
    phase=Phase.WAITING_FOR_CAPACITY,
)


@pytest.mark.parametrize(
    ("where", "shown"),
    [
        (EVERYTHING, True),
        (SearchFilter(status="pending"), True),
        (SearchFilter(status="queued"), False),
        (SearchFilter(status="waiting_for_capacity"), False),
        (SearchFilter(program="blastn"), True),
        (SearchFilter(program="blast"), False),
        (SearchFilter(program="BLASTN"), False),
        (SearchFilter(database="core_nt"), True),
        (SearchFilter(database="nt"), False),
        (SearchFilter(text="reef"), True),
        (SearchFilter(text="coral reef"), True),
        (SearchFilter(text="KÄFER"), True),
        (SearchFilter(text="reefs"), False),
        (SearchFilter(text="core_nt"), False),
        (SearchFilter("pending", "blastn", "core_nt", "reef"), True),
        (SearchFilter("running", "blastn", "core_nt", "reef"), False),
        (SearchFilter("pending", "blastp", "core_nt", "reef"), False),
        (SearchFilter("pending", "blastn", "nr", "reef"), False),
        (SearchFilter("pending", "blastn", "core_nt", "wreck"), False),
    ],
    ids=str,
)
def test_what_is_shown(where: SearchFilter, shown: bool) -> None:
    assert where.matches(SEARCH) is shown


@pytest.mark.parametrize(
    ("where", "columns"),
    [
        (EVERYTHING, {}),
        (SearchFilter(text="reef"), {}),
        (SearchFilter("failed", text="reef"), {"status": "failed"}),
        (SearchFilter("failed", "blastp", "nr"), {"status": "failed", "program": "blastp", "database": "nr"}),
    ],
    ids=str,
)
def test_what_the_table_is_asked_for(where: SearchFilter, columns: dict[str, str]) -> None:
    """Not the text: a Table cannot look into a column."""
    assert where.columns == columns
