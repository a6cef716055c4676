"""docs/monitoring.md has every event that the app emits, with its fields, and no other."""

from __future__ import annotations

import ast

import pytest

from tests.portal.events import BY_CODE, Emitted, _add, _calls, documented, emitted, row_of


def read(source: str) -> dict[str, Emitted]:
    """The events of a piece of code."""
    found: dict[str, Emitted] = {}
    for call, function in _calls(ast.parse(source)):
        _add(found, call, function)
    return found


class TestTable:
    def test_has_every_event_of_the_app(self) -> None:
        missing = [row_of(name) for name in emitted() if name not in documented()]
        assert missing == [], "docs/monitoring.md, Events, wants\n" + "\n".join(missing)

    def test_has_no_other(self) -> None:
        assert sorted(documented().keys() - emitted().keys()) == []

    @pytest.mark.parametrize("name", sorted(emitted()))
    def test_has_the_fields(self, name: str) -> None:
        if name not in documented():
            pytest.fail(row_of(name))
        event, written = emitted()[name], documented()[name]
        assert event.fields <= written, row_of(name)
        if not event.is_open:
            assert written <= event.fields, row_of(name)

    def test_few_events_have_fields_that_nobody_can_read_from_the_code(self) -> None:
        assert [name for name, event in emitted().items() if event.is_open] == ["reconcile_failed"]

    @pytest.mark.parametrize("name", sorted(emitted()))
    def test_names_are_snake_case(self, name: str) -> None:
        assert name == BY_CODE or name.replace("_", "").islower()


class TestReading:
    def test_keywords_but_for_the_level(self) -> None:
        assert read("log_event('a_b', level=1, x=1, y=2)")["a_b"].fields == {"x", "y"}

    def test_a_dictionary_written_out_in_the_same_function(self) -> None:
        found = read("def f():\n said: dict = {'x': 1}\n log_event('a', **said, y=2)")["a"]
        assert (found.fields, found.is_open) == ({"x", "y"}, False)

    def test_another_dictionary(self) -> None:
        found = read("def f(**where):\n log_event('a', **where, y=2)")["a"]
        assert (found.fields, found.is_open) == ({"y"}, True)

    def test_from_an_orchestrator_and_by_a_name_that_is_no_literal(self) -> None:
        found = read("log_event_once(context, 'a', x=1)\nlog_event(error.code, y=1)")
        assert {name: event.fields for name, event in found.items()} == {"a": {"x"}, BY_CODE: {"y"}}

    def test_calls_of_one_event_add_up(self) -> None:
        found = read("log_event('a', x=1)\nlog_event('a', y=1)")["a"]
        assert (found.fields, found.calls) == ({"x", "y"}, 2)
