"""host.json against the decisions of docs/decisions/0034 and what the local host makes of it."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any

import pytest

from local.host.settings import load_host_settings
from tests.portal.events import ROOT

HOST: dict[str, Any] = json.loads((ROOT / "host.json").read_text())
DURABLE: dict[str, Any] = HOST["extensions"]["durableTask"]
INSIGHTS: dict[str, Any] = HOST["logging"]["applicationInsights"]
DEFAULT_THREADS = 32
"""``PYTHON_THREADPOOL_THREAD_COUNT`` at most, and what the deployment sets."""
FOR_REQUESTS = 8


class TestBundle:
    def test_is_the_one_that_the_sdk_needs(self) -> None:
        """2.x speaks to the host in a way that only the preview bundle knows; 1.x runs with the released one."""
        preview = version("azure-functions-durable").startswith("2.")
        bundle = "Microsoft.Azure.Functions.ExtensionBundle" + (".Preview" if preview else "")
        assert HOST["extensionBundle"]["id"] == bundle
        assert HOST["extensionBundle"]["version"] == "[4.*, 5.0.0)"


class TestConcurrency:
    def test_what_durable_runs_at_once_is_what_the_worker_has_threads_for(self) -> None:
        durable = DURABLE["maxConcurrentActivityFunctions"] + DURABLE["maxConcurrentOrchestratorFunctions"]
        assert durable + FOR_REQUESTS == DEFAULT_THREADS

    def test_requests_have_limits(self) -> None:
        http = HOST["extensions"]["http"]
        assert http["maxConcurrentRequests"] < DEFAULT_THREADS < http["maxOutstandingRequests"]

    def test_the_local_host_takes_it(self) -> None:
        settings = load_host_settings(ROOT, {"ELB_TASK_HUB": "hub"})
        assert settings.max_activities == DURABLE["maxConcurrentActivityFunctions"]
        assert settings.max_orchestrators == DURABLE["maxConcurrentOrchestratorFunctions"]
        assert settings.max_activities + settings.max_orchestrators + settings.max_entities < DEFAULT_THREADS
        assert settings.route_prefix == ""


class TestTraces:
    def test_are_of_version_2_without_what_goes_in_and_comes_out(self) -> None:
        assert DURABLE["tracing"] == {
            "distributedTracingEnabled": True,
            "version": "V2",
            "traceInputsAndOutputs": False,
            "traceReplayEvents": False,
        }

    @pytest.mark.parametrize("kind", ["Request", "Exception", "Event", "Trace"])
    def test_nothing_that_tells_of_a_failure_is_sampled(self, kind: str) -> None:
        assert kind in INSIGHTS["samplingSettings"]["excludedTypes"].split(";")

    def test_our_events_get_through(self) -> None:
        levels = HOST["logging"]["logLevel"]
        assert levels["default"] == "Information"
        quiet = [name for name, level in levels.items() if level != "Information"]
        assert not [name for name in quiet if name.startswith(("Function", "Host.Results", "Host.Aggregator"))]


class TestVersions:
    def test_older_instances_go_on_and_newer_ones_wait_for_their_app(self) -> None:
        assert DURABLE["versionMatchStrategy"] == "CurrentOrOlder"
        assert DURABLE["versionFailureStrategy"] == "Reject"
        assert [part.isdecimal() for part in DURABLE["defaultVersion"].split(".")] == [True, True]


class TestTime:
    def test_a_function_has_longer_than_its_longest_work_and_not_for_ever(self) -> None:
        hours, minutes, seconds = (int(part) for part in HOST["functionTimeout"].split(":"))
        assert 600 <= hours * 3600 + minutes * 60 + seconds <= 3600
