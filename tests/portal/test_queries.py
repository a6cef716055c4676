"""The queries of the workbook and of the alerts: they parse, read what the app really emits, and are all in use."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

from shared.telemetry import log_event
from tests.portal.events import QUERIES, ROOT, SCHEMA, documented, emitted, parse, queries

MODULES = ROOT / "infra" / "modules"
NAMES = sorted(path.name for path in QUERIES.glob("*.kql"))
ALERTS = [name for name in NAMES if name.startswith("alert_")]
CHARTS = [name for name in NAMES if name not in ALERTS]
_STARTS = re.compile(r"startswith '([^']+)'")


def bicep(module: str) -> Node:
    """A module's syntax tree."""
    content = (MODULES / module).read_bytes()
    return Parser(Language(tree_sitter_bicep.language())).parse(content).root_node


def loaded(module: str) -> list[str]:
    """The files that a module loads, as they stand in it, without comments."""
    lines = [line for line in (MODULES / module).read_text().splitlines() if not line.strip().startswith("//")]
    return re.findall(r"loadTextContent\('([^']+)'\)", "\n".join(lines))


class TestQueries:
    def test_there_are_some(self) -> None:
        assert len(ALERTS) >= 6
        assert len(CHARTS) >= 8

    @pytest.mark.parametrize("name", NAMES)
    def test_without_an_error(self, name: str) -> None:
        assert queries()[name].errors == []

    @pytest.mark.parametrize("name", NAMES)
    def test_say_what_they_are_for(self, name: str) -> None:
        assert (QUERIES / name).read_text().startswith("// ")

    @pytest.mark.parametrize("name", NAMES)
    def test_read_events_that_the_app_emits(self, name: str) -> None:
        query = queries()[name]
        assert query.tables
        assert bool(query.events) == ("AppTraces" in query.tables)
        for event in query.events:
            assert event in emitted(), f"nobody emits {event}"
            assert event in documented()

    @pytest.mark.parametrize("name", NAMES)
    def test_read_fields_that_these_events_have(self, name: str) -> None:
        query = queries()[name]
        known = {"event"}.union(*(emitted()[event].fields for event in query.events))
        assert {path.partition(".")[0] for path in query.fields} - known == set()

    @pytest.mark.parametrize("name", [name for name in NAMES if name != "alert_server_errors.kql"])
    def test_look_for_the_events_by_how_their_lines_begin(self, name: str, caplog: pytest.LogCaptureFixture) -> None:
        """A comparison of the beginning is cheap, and parsing every line of the workspace is not."""
        caplog.set_level("INFO", "elb")
        for event in queries()[name].events:
            log_event(event, field=1)
        begins = _STARTS.findall((QUERIES / name).read_text())
        for record in caplog.records:
            assert any(record.getMessage().startswith(begin) for begin in begins), record.getMessage()
        assert len(begins) >= len(queries()[name].events)

    @pytest.mark.parametrize("name", CHARTS)
    def test_what_is_drawn_over_time_has_its_time(self, name: str) -> None:
        drawn = re.search(
            rf"{re.escape(name)}'\)\n    visualization: '(\w+)'", (MODULES / "workbook.bicep").read_text()
        )
        assert drawn is not None
        if drawn[1] in ("linechart", "areachart", "barchart"):
            assert "TimeGenerated" in queries()[name].columns


class TestParser:
    """A check that finds nothing wrong must be able to find it."""

    @pytest.mark.parametrize(
        "text",
        [
            "AppTraces | wher Message == ''",
            "AppTraces | where NoSuchColumn == 1",
            "NoSuchTable | count",
            "AppTraces | summarize n = no_such_function(Message)",
            "AppTraces | project Message | where TimeGenerated > ago(1h)",
        ],
    )
    def test_finds_what_is_wrong(self, text: str) -> None:
        assert parse({"x": text})["x"].errors != []

    def test_finds_paths_events_and_columns(self) -> None:
        text = """AppTraces | extend e = parse_json(Message)
            | where tostring(e.event) in ("a", "b") and tostring(e.event) == "c" and tostring(e.other) == "d"
            | project X = tolong(e.counts.deep), Y = tostring(e.y)"""
        found = parse({"x": text})["x"]
        assert (found.errors, found.tables, found.columns) == ([], ["AppTraces"], ["X", "Y"])
        assert (found.events, found.fields) == (["a", "b", "c"], ["counts.deep", "event", "other", "y"])

    def test_the_schema_is_one(self) -> None:
        texts = {name: f"{name} | project TimeGenerated, ItemCount" for name in SCHEMA}
        assert [found.errors for found in parse(texts).values()] == [[]] * len(SCHEMA)


class TestModules:
    @pytest.mark.parametrize("module", ["alerts.bicep", "workbook.bicep"])
    def test_parse(self, module: str) -> None:
        assert not bicep(module).has_error

    @pytest.mark.parametrize(("module", "names"), [("alerts.bicep", ALERTS), ("workbook.bicep", CHARTS)])
    def test_load_each_of_their_queries_once_and_hold_no_copy(self, module: str, names: list[str]) -> None:
        assert sorted(loaded(module)) == [f"../portal/kql/{name}" for name in names]
        assert "AppTraces" not in (MODULES / module).read_text()
        assert "AppRequests" not in (MODULES / module).read_text()

    def test_parameters_in_queries_are_the_workbooks(self) -> None:
        text = (MODULES / "workbook.bicep").read_text()
        used = {each for name in NAMES for each in re.findall(r"\{([A-Z]\w+)\}", (QUERIES / name).read_text())}
        assert used == {"PricePerNodeHour"}
        assert all(f"name: '{each}'" in text for each in used)

    def test_every_chart_and_alert_is_explained(self) -> None:
        document = (ROOT / "docs" / "monitoring.md").read_text()
        assert [name for name in NAMES if f"`{name}`" not in document] == []


class TestLines:
    def test_text_of_users_stays_one_line_of_json(
        self, told: Callable[[str], list[dict[str, Any]]], caplog: pytest.LogCaptureFixture
    ) -> None:
        log_event("something", text='\n{"event": "forged"}\x1b\u2028')
        (record,) = caplog.records
        assert record.getMessage().isprintable()
        assert json.loads(record.getMessage())["text"].startswith("\n")
        assert told("forged") == []
