"""Hostile texts in real tables: they come back as they were, and no filter matches more than it should."""

from __future__ import annotations

import re

import pytest
from azure.data.tables._serialize import _parameter_filter_substitution as substituted
from hypothesis import example, given, settings

from shared.clients.provider import AzureClients
from shared.clients.searches import SearchStore
from shared.domain.history import Event
from shared.domain.search_filter import SearchFilter
from shared.domain.states import Phase
from tests.clients.support import T0, a_search, fresh
from tests.fuzz.hostile import ALL, hostile

LONGEST = 200
"""What the API takes of a title or a database's name."""


def is_text(value: str) -> bool:
    """Whether the edge lets it through: a request's strings are UTF-8, which has no lone surrogate."""
    return not re.search(r"[\ud800-\udfff]", value)


VALUES = sorted({value[:LONGEST] for value in ALL if value and is_text(value[:LONGEST])})


@pytest.mark.proves("Q3")
def test_rows_come_back_as_they_were(searches: SearchStore, clients: AzureClients) -> None:
    for number, value in enumerate(VALUES[::3]):
        owner = fresh("owner") + value
        search = a_search(
            owner, minute=number, title=value, labels={"x": value}, waiting_reason=value, phase=Phase.RUNNING
        )
        searches.create(search)
        found = searches.get(owner, search.job_id)
        assert (found.owner, found.title, found.labels["x"], found.waiting_reason) == (owner, value, value, value)
        clients.events.add(search.job_id, Event(T0, "cancel_requested", owner, value))
        [event], _ = clients.events.page(search.job_id, 10, None)
        assert (event.who, event.why) == (owner, value)


@pytest.mark.proves("Q3")
def test_a_filter_matches_what_it_says_and_nothing_else(searches: SearchStore) -> None:
    owner, other = fresh("owner"), fresh("other")
    stored = [a_search(owner, minute=n, database=value, title="t") for n, value in enumerate(VALUES[::8])]
    for search in (*stored, a_search(other, database=VALUES[0])):
        searches.create(search)
    for value in VALUES:
        for where in (SearchFilter(database=value), SearchFilter(text=value), SearchFilter(program=value)):
            found, _ = searches.page(owner, 500, None, where)
            assert {s.job_id for s in found} == {s.job_id for s in stored if where.matches(s)}, where


@pytest.mark.proves("Q3")
@settings(max_examples=2000, deadline=None, database=None, derandomize=True)
@given(hostile(), hostile())
@example("' or '1' eq '1", "@p")
def test_a_value_is_one_literal_of_the_query(first: str, second: str) -> None:
    """The SDK puts the values into the query: quoted, whatever is in them, and never taken for a parameter again."""
    query = substituted({"p": first, "db": second}, "PartitionKey eq @p and database eq @db")
    form = re.fullmatch(r"PartitionKey eq '((?:[^']|'')*)' and database eq '((?:[^']|'')*)'", query, re.DOTALL)
    assert form is not None
    assert (form[1].replace("''", "'"), form[2].replace("''", "'")) == (first, second)
