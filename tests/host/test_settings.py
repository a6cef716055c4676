"""host.json, app settings and bindings."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from local.host.functions import Trigger, parse_function
from local.host.settings import HostConfigurationError, HostSettings, is_disabled, load_host_settings, resolve_settings


def load(folder: Path, content: object) -> HostSettings:
    (folder / "host.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return load_host_settings(folder)


class TestHostJson:
    def test_defaults(self, tmp_path: Path) -> None:
        settings = load(tmp_path, {"version": "2.0"})
        assert settings == HostSettings(route_prefix="api")
        assert settings.max_activities + settings.max_orchestrators + settings.max_entities <= 32 - 8

    def test_everything_that_is_read(self, tmp_path: Path) -> None:
        durable = {
            "maxConcurrentActivityFunctions": 3,
            "maxConcurrentOrchestratorFunctions": 4,
            "maxConcurrentEntityFunctions": 5,
        }
        content = {
            "extensions": {"http": {"routePrefix": ""}, "durableTask": durable},
            "logging": {"logLevel": {"default": "Warning"}},
        }
        assert load(tmp_path, content) == HostSettings("", 3, 4, 5, logging.WARNING)

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            ("{", "is not JSON"),
            ({"extensions": {"durableTask": {"maxConcurrentActivityFunctions": 0}}}, "maxConcurrentActivityFunctions"),
            ({"logging": {"logLevel": {"default": "Loud"}}}, "Loud"),
        ],
    )
    def test_a_wrong_value_is_named(self, tmp_path: Path, content: object, reason: str) -> None:
        with pytest.raises(HostConfigurationError, match=reason):
            load(tmp_path, content)

    def test_app_settings_are_put_in_everywhere(self, tmp_path: Path) -> None:
        content = {
            "extensions": {"http": {"routePrefix": "%PREFIX%"}, "durableTask": {"hubName": "%HUB%"}},
            "logging": {"logLevel": {"default": "%LEVEL%"}},
        }
        (tmp_path / "host.json").write_text(json.dumps(content))
        given = {"PREFIX": "v1", "HUB": "elb", "LEVEL": "Error"}
        found = load_host_settings(tmp_path, given)
        assert (found.route_prefix, found.log_level) == ("v1", logging.ERROR)
        for missing in given:
            with pytest.raises(HostConfigurationError, match=rf"host\.json: the app setting {missing}, used in '%"):
                load_host_settings(tmp_path, {name: value for name, value in given.items() if name != missing})

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(HostConfigurationError, match=r"host\.json is missing"):
            load_host_settings(tmp_path)


class TestAppSettings:
    def test_references_are_replaced(self) -> None:
        assert resolve_settings("%A% x %B%", {"A": "1", "B": ""}) == "1 x "

    def test_a_missing_one_is_named(self) -> None:
        with pytest.raises(HostConfigurationError, match="setting B"):
            resolve_settings("%B%", {})

    @pytest.mark.parametrize(
        ("name", "value", "disabled"),
        [
            ("AzureWebJobs.tick.Disabled", "true", True),
            ("AzureWebJobs.tick.Disabled", "1", True),
            ("AzureWebJobs_tick_Disabled", "True", True),
            ("AzureWebJobs.tick.Disabled", "false", False),
            ("AzureWebJobs.tick.Disabled", "", False),
            ("AzureWebJobs.tock.Disabled", "true", False),
        ],
    )
    def test_disabled(self, name: str, value: str, disabled: bool) -> None:
        assert is_disabled("tick", {name: value}) is disabled


class TestBindings:
    @staticmethod
    def parse(*bindings: dict[str, Any]) -> Any:
        return parse_function("f", "id", [json.dumps(binding) for binding in bindings])

    def test_a_durable_function_has_its_own_name_and_its_parameter(self) -> None:
        found = self.parse(
            {"type": "durableClient", "name": "client"},
            {"type": "activityTrigger", "name": "_input", "activity": "other"},
        )
        assert (found.trigger, found.parameter, found.durable_name, found.clients) == (
            Trigger.ACTIVITY,
            "_input",
            "other",
            ("client",),
        )

    @pytest.mark.parametrize("kind", ["queueTrigger", "blob"])
    def test_a_trigger_of_another_kind_is_refused(self, kind: str) -> None:
        with pytest.raises(HostConfigurationError, match="function f has the trigger"):
            self.parse({"type": kind, "name": "x"})
