"""The whole app as the host indexes it: what it registers, what its routes match, what importing it costs."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import azure.functions as func
import pytest

from shared import responses
from shared.config import read_settings
from shared.domain import functions as names
from shared.domain.functions import cli_submit_instance, monitor_instance, search_instance
from tests.registered import app_functions

ROOT = Path(__file__).resolve().parents[2]
IMPORT_LIMIT_SECONDS = 5.0
"""Far above what an import takes (about a second on a busy machine), far below what a cloud client's import adds."""
SHELL, FILES = "{ignored:maxlength(0)?}", "assets/{*path}"
"""The page: nothing but the empty path, and everything below one folder."""
ANONYMOUS = {
    ("GET", "health"),
    ("GET", "api/health"),
    ("POST", "api/blast/jobs/{id}/notify"),
    ("GET", SHELL),
    ("GET", FILES),
}
"""docs/api.md, "Conventions"."""

FUNCTIONS = app_functions()
ROUTES = sorted(
    (str(method.value), str(trigger.route), function.get_function_name())
    for function in FUNCTIONS
    if (trigger := function.get_trigger()).type == "httpTrigger"
    for method in trigger.methods
)


class TestNames:
    def durable(self) -> list[str]:
        found = []
        for function in FUNCTIONS:
            binding = function.get_trigger().get_dict_repr()
            if binding["type"] in ("orchestrationTrigger", "activityTrigger"):
                found.append(binding.get("orchestration") or binding.get("activity") or function.get_function_name())
        return [name for name in found if not name.startswith("BuiltIn__")]

    def test_registered_are_the_names_that_the_app_knows(self) -> None:
        known = {
            value
            for name, value in vars(names).items()
            if name.isupper() and isinstance(value, str) and not name.endswith("_EVENT")
        }
        assert set(self.durable()) == known

    def test_none_is_registered_twice(self) -> None:
        assert [name for name, count in Counter(self.durable()).items() if count > 1] == []
        all_names = Counter(function.get_function_name().lower() for function in FUNCTIONS)
        assert [name for name, count in all_names.items() if count > 1] == []

    def test_instance_ids_tell_runs_and_roles_apart(self) -> None:
        ids = [
            make("job-a", run) for make in (search_instance, monitor_instance, cli_submit_instance) for run in (1, 2)
        ]
        assert ids[:2] == ["job-a", "job-a-2"]
        assert len(set(ids)) == len(ids)


class TestRoutes:
    def samples(self, template: str) -> set[str]:
        """Paths that a template matches: each variable as something of its own, and as every literal of the app."""
        if template == SHELL:
            return {""}
        literals = {part for _, route, _ in ROUTES for part in route.split("/") if "{" not in part}
        choices = [
            sorted(literals | {"x9"}) if part.startswith("{") else [part] for part in template.strip("/").split("/")
        ]
        return {"/".join(parts) for parts in itertools.product(*choices)}

    def pattern(self, template: str) -> re.Pattern[str]:
        if template == SHELL:
            return re.compile("")
        parts = [
            ".+" if part == "{*path}" else "[^/]+" if part.startswith("{") else re.escape(part)
            for part in template.strip("/").split("/")
        ]
        return re.compile("/".join(parts), re.IGNORECASE)

    def test_every_variable_is_a_whole_segment_without_options(self) -> None:
        variables = {part for _, route, _ in ROUTES for part in route.split("/") if "{" in part}
        assert {part for part in variables if not re.fullmatch(r"\{[a-z_]+\}", part)} <= {
            "{*path}",
            SHELL,
        }

    def test_no_two_templates_match_one_path_and_method(self) -> None:
        clashes = [
            (method, one, other, path)
            for (method, one, _), (other_method, other, _) in itertools.combinations(ROUTES, 2)
            if method == other_method
            for path in self.samples(one)
            if self.pattern(other).fullmatch(path)
        ]
        assert clashes == []

    def test_the_check_sees_a_clash(self) -> None:
        assert self.pattern("api/blast/jobs/{id}").fullmatch("api/blast/jobs/validate")
        assert "api/blast/jobs/validate" in self.samples("api/blast/jobs/{id}")

    def test_nothing_is_in_the_host_s_own_space_or_catches_all(self) -> None:
        for _, route, _ in ROUTES:
            assert not re.match(r"(?i)/?(admin|runtime)(/|$)", route)
            assert not re.match(r"/?\{", route) or route == SHELL

    def test_routes_are_written_out(self) -> None:
        assert json.loads((ROOT / "host.json").read_text())["extensions"]["http"]["routePrefix"] == ""
        beyond = {route for _, route, _ in ROUTES if not route.startswith("api/")}
        assert beyond <= {"health", SHELL, FILES}

    def test_every_built_route_of_the_document_is_there(self) -> None:
        document = (ROOT / "docs" / "api.md").read_text()
        rows = re.findall(r"^\| (.+?) \| built \|", document, re.MULTILINE)
        promised = {match for row in rows for match in re.findall(r"(GET|POST|PUT|DELETE) (/[^\s,`)]+)", row)}
        have = {(method, "/" + route) for method, route, _ in ROUTES}
        missing = [(m, p) for m, p in promised if (m, p) not in have and (m, "/api" + p) not in have]
        assert len(promised) >= 15
        assert missing == []


class TestIdentity:
    """Every route is called as the worker calls it, by somebody whom nobody knows."""

    @pytest.mark.proves("Q1")
    @pytest.mark.parametrize(("method", "route", "name"), [found for found in ROUTES if found[:2] not in ANONYMOUS])
    @pytest.mark.parametrize("mode", ["easyauth", "dev"])
    def test_without_it_only_the_anonymous_ones_answer(
        self, method: str, route: str, name: str, mode: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings = read_settings({"AUTH_MODE": mode, "WEBSITE_AUTH_ENABLED": "True", "ELB_CALLBACK_SECRET": "secret"})
        monkeypatch.setattr(responses, "settings", lambda: settings)
        (function,) = [found for found in FUNCTIONS if found.get_function_name() == name]
        request = func.HttpRequest(
            method, f"https://x/{route}", headers={"Host": "example.org"}, route_params={"id": "job-a"}, body=b"{}"
        )
        bound = {binding.name for binding in function.get_bindings() if binding.type == "durableClient"}
        handler = function.get_user_function()
        handler = getattr(handler, "__wrapped__", handler) if bound else handler
        response = handler(request, *(object() for _ in bound))
        assert response.status_code == 401
        assert json.loads(response.get_body())["error"]["code"] == "not_signed_in"

    def test_the_platform_s_keys_are_off(self) -> None:
        levels = {str(f.get_trigger().auth_level.value) for f in FUNCTIONS if f.get_trigger().type == "httpTrigger"}
        assert levels == {"anonymous"}

    def test_the_anonymous_ones_are_there(self) -> None:
        assert {(method, route) for method, route, _ in ROUTES} >= ANONYMOUS


class TestTimers:
    def test_each_is_a_singleton_that_the_host_keeps_account_of(self) -> None:
        timers = [f.get_trigger().get_dict_repr() for f in FUNCTIONS if f.get_trigger().type == "timerTrigger"]
        assert timers
        assert all(timer["useMonitor"] for timer in timers)
        assert all(len(timer["schedule"].split()) == 6 for timer in timers)
        assert not any(timer.get("runOnStartup") for timer in timers)

    def test_these_and_no_others(self) -> None:
        """Each is scaled and billed by itself on Azure (docs/decisions/0017-timers.md)."""
        timers = {
            function.get_function_name(): trigger.schedule
            for function in FUNCTIONS
            if (trigger := function.get_trigger()).type == "timerTrigger"
        }
        assert timers == {
            "discover_external": "*/30 * * * * *",
            "reconcile_stale_jobs": "0 * * * * *",
            "reconcile_auto_warm": "0 * * * * *",
            "purge_history": "0 10 3 * * *",
        }


class TestImport:
    def test_it_is_quick_and_leaves_the_heavy_clients_out(self) -> None:
        code = (
            "import json, sys, time; began = time.perf_counter(); import function_app; "
            "print(json.dumps([time.perf_counter() - began, sorted(sys.modules)]))"
        )
        environ = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
        began = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environ, capture_output=True, text=True)
        process_seconds = time.perf_counter() - began
        assert done.returncode == 0, done.stderr
        import_seconds, modules = json.loads(done.stdout)
        print(f"import function_app: {import_seconds:.2f} s, the whole process {process_seconds:.2f} s")
        assert import_seconds < IMPORT_LIMIT_SECONDS
        heavy = re.compile(
            r"(kubernetes|jwt|cryptography|azure\.mgmt|azure\.data|azure\.storage|azure\.identity|local)(\.|$)"
        )
        assert [module for module in modules if heavy.match(module)] == []

    def test_no_setting_is_needed_outside_a_host(self) -> None:
        environ = {"PYTHONPATH": str(ROOT), "ELB_JOB_CPUS": "wrong"}
        command = [sys.executable, "-c", "import function_app"]
        done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def test_a_wrong_setting_stops_the_start_in_a_host(self) -> None:
        environ = {"PYTHONPATH": str(ROOT), "ELB_JOB_CPUS": "wrong", "FUNCTIONS_WORKER_RUNTIME": "python"}
        command = [sys.executable, "-c", "import function_app"]
        done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
        assert done.returncode != 0
        assert "setting ELB_JOB_CPUS is 'wrong'" in done.stderr


def test_the_app_is_a_list_of_blueprints() -> None:
    assert len((ROOT / "function_app.py").read_text().splitlines()) <= 40
