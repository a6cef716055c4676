"""What a probe's log says, and when it says nothing."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.residency import NodeResidency, Residency, ShardResidency, read_probe
from shared.domain.times import format_time
from tests.unit.domain.objects import NOW


def line(seconds_ago: float = 10, **database: Any) -> str:
    """A line of the probe about one database."""
    shard = {"layout": 4, "shard": 2, "version": "v1", "bytes": 900, "resident": 800, "missing": 0}
    found = {"database": "db", "bytes": 1000, "resident": 850, "shards": [shard]} | database
    at = format_time(NOW - timedelta(seconds=seconds_ago))
    return json.dumps({"at": at, "seconds": 0.01, "databases": [found]}) + "\n"


def read(log: str) -> NodeResidency:
    """What the log says, which must be something."""
    found = read_probe(log, NOW)
    assert isinstance(found, NodeResidency), found
    return found


class TestLine:
    def test_the_last_one_counts(self) -> None:
        found = read(line(70, resident=1) + line(10))
        at = NOW - timedelta(seconds=10)
        assert found.at == at
        assert found.resident_bytes == 850
        assert found.databases["db"].shards == {(4, 2): ShardResidency(900, 800, 0, "v1", at)}

    @pytest.mark.parametrize(
        "rest",
        [
            '{"at":"2026-03-04T11:59:59.000Z","databases":[{"datab',
            "bash: vmtouch: command not found",
            "{}",
            "null",
            "[]",
            '{"at":"yesterday","databases":[]}',
            '{"at":"2026-03-04T11:59:59.000Z","databases":5}',
            '{"at":"2026-03-04T11:59:59.000Z","databases":[{"database":"db"}]}',
            '{"at":"2026-03-04T11:59:59.000Z","databases":["db"]}',
        ],
    )
    def test_what_is_no_measurement_is_passed_over(self, rest: str) -> None:
        assert read(line(10) + rest).resident_bytes == 850
        assert read_probe(rest, NOW) == "the probe has printed no measurement yet"

    def test_a_node_without_databases(self) -> None:
        found = read('{"at":"2026-03-04T11:59:59.000Z","seconds":0.001,"databases":[]}')
        assert (found.databases, found.resident_bytes) == ({}, 0)

    @pytest.mark.parametrize("age", [0, 60, 179, 180, -180])
    def test_young_enough(self, age: float) -> None:
        assert isinstance(read_probe(line(age), NOW), NodeResidency)

    @pytest.mark.parametrize("age", [180.001, 3600, -181])
    def test_too_old_or_from_the_future_is_unknown(self, age: float) -> None:
        assert read_probe(line(age), NOW) == f"the probe's last line is {age:.0f} s old"

    def test_what_could_not_be_measured_in_time(self) -> None:
        found = read(line(resident=None))
        assert (found.databases["db"].resident_bytes, found.resident_bytes) == (None, None)


class TestShard:
    @pytest.mark.parametrize(
        ("size", "resident", "missing", "expected"),
        [
            (1000, 1000, 0, True),
            (1000, 900, 0, True),
            (1000, 899, 0, False),
            (1000, 0, 0, False),
            (0, 0, 0, True),
            (1000, None, 0, None),
            (1000, 1000, 1, False),
            (1000, None, 1, False),
        ],
    )
    def test_resident_or_not(self, size: int, resident: int | None, missing: int, expected: bool | None) -> None:
        assert ShardResidency(size, resident, missing, "v1", NOW).is_resident is expected


class TestResidency:
    def test_what_is_asked_of_it(self) -> None:
        found = Residency({"n0": read(line())}, {"n1": "the probe is being started"})
        shard = found.of_shard("n0", "db", 4, 2)
        assert shard is not None
        assert shard.resident_bytes == 800
        for node, database, layout, index in (
            ("n1", "db", 4, 2),
            ("n0", "x", 4, 2),
            ("n0", "db", 2, 2),
            ("n0", "db", 4, 0),
        ):
            assert found.of_shard(node, database, layout, index) is None

    @pytest.mark.parametrize(
        ("residency", "node", "why"),
        [
            (Residency({"n0": NodeResidency(NOW)}), "n0", ""),
            (Residency(unknown={"n0": "x"}), "n0", "x"),
            (Residency(reason="y", unknown={"n0": "x"}), "n0", "y"),
            (Residency(), "n0", "no probe runs on node n0"),
            (Residency({"n0": read(line(resident=None))}), "n0", "node n0 could not be measured in time"),
        ],
    )
    def test_why_not(self, residency: Residency, node: str, why: str) -> None:
        assert residency.why_unknown(node) == why
