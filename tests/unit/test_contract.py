"""The API's document of itself: held against the routes, the handlers, docs/api.md and the domain, both ways."""

from __future__ import annotations

import ast
import base64
import hashlib
import inspect
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from pydantic import BaseModel

from shared.auth import Role
from shared.domain.snapshot import JobState
from shared.domain.states import Phase, Status, StepName, StepStatus
from shared.domain.warmth import Warmth
from tests.contract import BY_NAME, differences, find_operation
from tests.registered import app_functions
from triggers.contract.document import OPERATIONS, VERSION, as_json, as_page, build
from triggers.contract.operation import Operation
from triggers.contract.page import POLICY, STYLE, render
from triggers.contract.requests import MEANINGS, RULES
from triggers.requests import AutoWarmFields, ClusterFields, OptionFields

ROOT = Path(__file__).resolve().parents[2]
MODES = ("easyauth", "jwt", "dev")
FUNCTIONS: dict[str, Any] = {
    function.get_function_name(): function
    for function in app_functions()
    if function.get_trigger().type == "httpTrigger"
}
ROUTES = {
    name: (str(method.value), f"/{function.get_trigger().route}")
    for name, function in FUNCTIONS.items()
    for method in function.get_trigger().methods
}
PAGE_OF_THE_APP = ("/{ignored:maxlength(0)?}", "/assets/{*path}")
"""Not the API's: the web page's own."""


class TestRoutes:
    def test_every_route_is_described_and_every_description_is_a_route(self) -> None:
        routes = {name: route for name, route in ROUTES.items() if route[1] not in PAGE_OF_THE_APP}
        assert {operation.name: (operation.method, operation.path) for operation in OPERATIONS} == routes

    def test_none_is_described_twice(self) -> None:
        assert len(BY_NAME) == len(OPERATIONS)
        assert len({(operation.method, operation.path) for operation in OPERATIONS}) == len(OPERATIONS)

    @pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
    def test_the_variables_of_a_path_are_its_parameters(self, operation: Operation) -> None:
        declared = [parameter.name for parameter in operation.parameters if parameter.where == "path"]
        assert declared == re.findall(r"\{(\w+)\}", operation.path)
        names = [(parameter.where, parameter.name.lower()) for parameter in operation.parameters]
        assert len(names) == len(set(names))


class TestDocs:
    """The table of docs/api.md, which people read, names the same routes."""

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """Method, path without ``/api``, and state of every route in the table."""
        text = (ROOT / "docs" / "api.md").read_text()
        for cell, state in re.findall(r"^\| (.+?) \| (built|planned) \|", text, re.MULTILINE):
            for method, path in re.findall(r"(GET|POST|PUT|DELETE) (/[^\s,`)]+)", cell):
                yield method, path.removeprefix("/api"), state

    def test_every_operation_is_in_the_table(self) -> None:
        built = {(method, path) for method, path, state in self.rows() if state == "built"}
        assert {(operation.method, operation.path.removeprefix("/api")) for operation in OPERATIONS} == built


class TestHandlers:
    @pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
    def test_the_model_of_the_body_is_the_one_that_is_read(self, operation: Operation) -> None:
        read = set(self.models_read(operation.name))
        body = {operation.body.model.__name__} if operation.body and operation.body.model else set()
        query = {"ClusterFields"} if any(p.name == "cluster_name" for p in operation.parameters) else set()
        assert read == body | query

    def models_read(self, name: str) -> Iterator[str]:
        """Names of the models that a handler has a body or a query read as."""
        handler = FUNCTIONS[name].get_user_function()
        handler = getattr(handler, "__wrapped__", handler)
        tree = ast.parse(inspect.getsource(sys.modules[handler.__module__]))
        (function,) = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == handler.__name__]
        for call in ast.walk(function):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
                continue
            if call.func.id in ("read_body", "as_model"):
                assert isinstance(call.args[1], ast.Name)
                yield call.args[1].id
            if call.func.id == "asked_cluster":
                yield ClusterFields.__name__

    @pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
    def test_what_is_said_to_be_read_is_asked_for_somewhere(self, operation: Operation) -> None:
        """The other way, that what a handler asks for is described, is watched in ``tests/activities``."""
        sources = "".join(path.read_text() for path in (ROOT / "triggers").glob("*.py"))
        fields = set(ClusterFields.model_fields)
        named = {p.name for p in operation.parameters if p.where != "path"} - fields
        assert {name for name in named if f'"{name}"' not in sources} == set()

    def test_every_field_that_is_read_has_a_meaning(self) -> None:
        models: set[type[BaseModel]] = {OptionFields, AutoWarmFields}
        models |= {operation.body.model for operation in OPERATIONS if operation.body and operation.body.model}
        fields = {model.__name__: set(model.model_fields) for model in models}
        assert {name: set(meanings) for name, meanings in MEANINGS.items()} == fields
        assert {(name, field) for name, fields in fields.items() for field in fields} >= set(RULES)

    @pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
    def test_the_role_is_the_one_that_is_asked_for(self, operation: Operation) -> None:
        handler = FUNCTIONS[operation.name].get_user_function()
        handler = getattr(handler, "__wrapped__", handler)
        tree = ast.parse(inspect.getsource(sys.modules[handler.__module__]))
        (function,) = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == handler.__name__]
        decorators = {n.id for n in function.decorator_list if isinstance(n, ast.Name)}
        assert ("anonymous" in decorators) == (operation.access in ("anybody", "job"))
        assert ("need(Role.OPERATOR)" in ast.unparse(function)) == (operation.access == "operator")


class TestDocument:
    @pytest.fixture
    def document(self) -> dict[str, Any]:
        return build("easyauth")

    def references(self, node: Any) -> Iterator[str]:
        """Every ``$ref`` below a node."""
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                yield node["$ref"]
            for value in node.values():
                yield from self.references(value)
        elif isinstance(node, list):
            for value in node:
                yield from self.references(value)

    def test_every_component_is_referred_to_and_every_reference_leads_to_one(self, document: dict[str, Any]) -> None:
        kinds = ("schemas", "responses", "headers")
        components = {f"#/components/{kind}/{name}" for kind in kinds for name in document["components"][kind]}
        assert set(self.references(document)) == components

    def test_every_schema_is_json_schema(self, document: dict[str, Any]) -> None:
        for name, schema in document["components"]["schemas"].items():
            jsonschema_rs.meta.validate(schema | {"$schema": "https://json-schema.org/draft/2020-12/schema"})
            assert re.fullmatch(r"[A-Z][A-Za-z]+", name)  # two models of one name would be told apart by their modules

    def test_links_lead_to_parameters_that_there_are(self, document: dict[str, Any]) -> None:
        found = 0
        for operation in OPERATIONS:
            for answer in operation.answers.values():
                for target, parameters in answer.links.items():
                    found += 1
                    assert set(parameters) <= {p.name for p in BY_NAME[target].parameters}
                    assert set(parameters.values()) <= set(answer.models[0].model_fields)
        assert found > 10

    @pytest.mark.parametrize("enum", [Status, Phase, StepName, StepStatus, JobState, Warmth, Role])
    def test_enums_are_the_domain_s(self, enum: Any, document: dict[str, Any]) -> None:
        assert document["components"]["schemas"][enum.__name__]["enum"] == [member.value for member in enum]

    @pytest.mark.parametrize("mode", MODES)
    def test_identity_is_asked_for_as_the_mode_has_it(self, mode: str) -> None:
        document = build(mode)
        schemes = set(document["components"]["securitySchemes"]) - {"jobToken"}
        assert schemes == {"easyauth": {"platformSession"}, "jwt": {"bearer"}, "dev": set()}[mode]
        for operation in OPERATIONS:
            security = document["paths"][operation.path][operation.method.lower()]["security"]
            needed = {name for requirement in security for name in requirement}
            expected = {"anybody": set(), "job": {"jobToken"}}.get(operation.access, schemes)
            assert needed == expected, operation.name

    def test_every_answer_that_says_wait_says_how_long(self, document: dict[str, Any]) -> None:
        for name in ("TooManyRequests", "ServiceUnavailable"):
            assert "Retry-After" in document["components"]["responses"][name]["headers"]

    def test_the_version_is_the_product_s(self) -> None:
        assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION

    def test_it_is_made_once_and_the_same_every_time(self) -> None:
        assert as_json("dev") is as_json("dev")
        assert json.loads(as_json("dev")) == build("dev")

    def test_it_is_not_made_at_the_start(self) -> None:
        code = "import sys, function_app; print([m for m in sys.modules if m.startswith('triggers.contract')])"
        environ = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environ, capture_output=True, text=True)
        assert (done.stdout.strip(), done.stderr) == ("[]", "")


class TestDifferences:
    """The check that other tests put on every answer sees what it is for."""

    me = BY_NAME["me"]
    json_type = {"Content-Type": "application/json"}  # noqa: RUF012

    def seen(self, body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> list[str]:
        return differences(self.me, status, headers or self.json_type, json.dumps(body).encode())

    def test_none_where_there_is_none(self) -> None:
        assert self.seen({"owner": "a", "name": "b", "roles": ["user"]}) == []

    @pytest.mark.parametrize(
        ("body", "status", "headers"),
        [
            ({"owner": "a", "name": "b", "roles": ["user"], "more": 1}, 200, None),
            ({"owner": "a", "name": "b"}, 200, None),
            ({"owner": "a", "name": "b", "roles": ["king"]}, 200, None),
            ({"owner": "a", "name": None, "roles": []}, 200, None),
            ({"owner": "a", "name": "b", "roles": []}, 201, None),
            ({"owner": "a", "name": "b", "roles": []}, 200, {"Content-Type": "text/html"}),
            ({"error": {"code": "x", "message": "y", "hint": "z"}}, 503, None),  # no Retry-After
            ({"error": {"code": "Not Snake", "message": "y", "hint": "z"}}, 401, None),
            ({"detail": "unauthorized"}, 401, None),
        ],
    )
    def test_one_where_there_is_one(self, body: dict[str, Any], status: int, headers: dict[str, str] | None) -> None:
        assert self.seen(body, status, headers) != []

    def test_a_time_has_the_form_of_one(self) -> None:
        event = {"at": "yesterday", "kind": "a", "who": "b", "why": "c", "attempt": 1}
        body = json.dumps({"items": [event], "next_cursor": None}).encode()
        assert "yesterday" in differences(BY_NAME["blast_jobs_events"], 200, self.json_type, body)[0]

    def test_a_literal_goes_before_a_variable(self) -> None:
        assert find_operation("POST", "/api/blast/jobs/validate") is BY_NAME["blast_jobs_validate"]
        assert find_operation("GET", "/api/blast/jobs/job-1") is BY_NAME["blast_jobs_detail"]
        assert find_operation("PATCH", "/api/blast/jobs/job-1") is None


class _Page(HTMLParser):
    """What a page has in it."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            self.attributes.add(name)
            if name == "id":
                self.ids.append(str(value))
            if name in ("href", "src"):
                self.links.append(str(value))


class TestPage:
    @pytest.fixture
    def page(self) -> _Page:
        page = _Page()
        page.feed(as_page("dev").decode())
        return page

    def test_every_operation_and_object_is_on_it_once(self, page: _Page) -> None:
        names = {*BY_NAME, *build("dev")["components"]["schemas"], "objects"}
        assert sorted(page.ids) == sorted(names)

    def test_its_links_lead_to_what_is_there(self, page: _Page) -> None:
        inside = {link.removeprefix("#") for link in page.links if link.startswith("#")}
        assert inside <= set(page.ids)
        assert {link for link in page.links if not link.startswith("#")} == {"/api/openapi.json"}

    def test_there_is_no_script_and_no_style_but_the_one_that_the_policy_names(self, page: _Page) -> None:
        assert not {"script", "link", "img", "iframe", "form", "base"} & set(page.tags)
        assert not {name for name in page.attributes if name == "style" or name.startswith("on")}
        assert page.tags.count("style") == 1
        style = as_page("dev").decode().split("<style>")[1].split("</style>")[0]
        assert style == STYLE
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        assert f"style-src 'sha256-{digest}'" in POLICY
        assert "default-src 'none'" in POLICY
        assert "unsafe" not in POLICY

    def test_it_can_be_read_on_a_phone_and_in_the_dark(self) -> None:
        page = as_page("dev").decode()
        assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
        assert "color-scheme: light dark" in page

    def test_what_is_in_the_document_is_text_on_the_page(self) -> None:
        document = build("dev")
        document["info"]["title"] = "<script>alert(1)</script>"
        page = render(document)
        assert "<script" not in page
        assert "&lt;script&gt;alert(1)" in page
