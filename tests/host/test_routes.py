"""Routes, as tables: template, path, parameters."""

import pytest

from local.host.functions import Function, Trigger
from local.host.routes import RouteTable
from local.host.settings import HostConfigurationError


def http(name: str, route: str | None = None, *methods: str) -> Function:
    binding = {"name": "req", "type": "httpTrigger", "methods": list(methods)} | ({"route": route} if route else {})
    return Function(name, name, Trigger.HTTP, binding)


def parameters(template: str, path: str, prefix: str = "") -> dict[str, str] | None:
    found = RouteTable([http("f", template)], prefix).find("GET", path)
    return found.parameters if found.function else None


@pytest.mark.parametrize(
    ("template", "path", "expected"),
    [
        ("api/jobs", "/api/jobs", {}),
        ("api/jobs", "/api/jobs/", {}),
        ("api/jobs", "/API/Jobs", {}),
        ("/api/jobs/", "/api/jobs", {}),
        ("api/jobs", "/api/job", None),
        ("api/jobs", "/api/jobs/1", None),
        ("api/jobs", "/", None),
        ("jobs/{id}", "/jobs/a%20b", {"id": "a b"}),
        ("jobs/{id}", "/jobs/%C3%A4", {"id": "ä"}),
        ("jobs/{id}", "/jobs/a%2Fb", {"id": "a%2Fb"}),
        ("jobs/{id}", "/jobs/", None),
        ("jobs/{id}", "/jobs/a/b", None),
        ("jobs/{id}/steps/{step}", "/jobs/a/steps/b", {"id": "a", "step": "b"}),
        ("jobs/{id?}", "/jobs", {}),
        ("jobs/{id?}", "/jobs/7", {"id": "7"}),
        ("jobs/{id=all}", "/jobs", {"id": "all"}),
        ("files/{*path}", "/files/a/b/c", {"path": "a/b/c"}),
        ("files/{*path}", "/files", {}),
        ("{*path}", "/", {}),
        ("{*path}", "/a/b", {"path": "a/b"}),
        ("{name}.{extension}", "/page.html", {"name": "page", "extension": "html"}),
        ("v{version:int}/jobs", "/v2/jobs", {"version": "2"}),
        ("v{version:int}/jobs", "/vx/jobs", None),
        ("a.b", "/axb", None),
        ("{{a}}", "/%7Ba%7D", {}),
        ("{ignored:maxlength(0)?}", "/", {}),
        ("{ignored:maxlength(0)?}", "/a", None),
    ],
)
def test_templates(template: str, path: str, expected: dict[str, str] | None) -> None:
    assert parameters(template, path) == expected


@pytest.mark.parametrize(
    ("constraint", "accepted", "refused"),
    [
        ("int", ["0", "-12", "2147483647"], ["x", "1.5", "2147483648"]),
        ("long", ["2147483648"], ["9223372036854775808"]),
        ("alpha", ["abc", "ABC"], ["a1", "ä"]),
        ("bool", ["true", "False"], ["yes"]),
        ("guid", ["0f8fad5b-d9cb-469f-a165-70867728950e"], ["0f8fad5b"]),
        ("double", ["1.5", "-1e3"], ["one"]),
        ("minlength(3)", ["abc"], ["ab"]),
        ("maxlength(3)", ["abc"], ["abcd"]),
        ("length(3)", ["abc"], ["ab", "abcd"]),
        ("length(2,3)", ["ab", "abc"], ["a", "abcd"]),
        ("min(3)", ["3"], ["2", "x"]),
        ("max(3)", ["3"], ["4"]),
        ("range(2,4)", ["2", "4"], ["1", "5"]),
        ("regex(^[a-c]+$)", ["abc"], ["abd"]),
        ("regex(^\\d{{2}}$)", ["12"], ["123"]),
        ("minlength(2):maxlength(3)", ["ab"], ["a", "abcd"]),
        ("required", ["a"], []),
    ],
)
def test_constraints(constraint: str, accepted: list[str], refused: list[str]) -> None:
    template = f"x/{{value:{constraint}}}"
    assert [value for value in accepted if parameters(template, f"/x/{value}") is None] == []
    assert [value for value in refused if parameters(template, f"/x/{value}") is not None] == []


@pytest.mark.parametrize(
    ("prefix", "route", "path"),
    [("api", "jobs", "/api/jobs"), ("", "api/jobs", "/api/jobs"), ("a/b", "c", "/a/b/c"), ("api", None, "/api/f")],
)
def test_the_prefix_is_put_in_front(prefix: str, route: str | None, path: str) -> None:
    table = RouteTable([http("f", route)], prefix)
    assert table.find("GET", path).function is not None
    assert table.find("GET", path.removeprefix("/api") + "x").function is None


class TestOrder:
    def test_routes_are_tried_by_the_names_of_their_functions(self) -> None:
        broad, narrow = "{*path}", "api/jobs"
        hidden = RouteTable([http("b_jobs", narrow), http("a_page", broad)], "")
        assert found_name(hidden, "GET", "/api/jobs") == "a_page"
        seen = RouteTable([http("z_page", broad), http("b_jobs", narrow)], "")
        assert found_name(seen, "GET", "/api/jobs") == "b_jobs"

    def test_upper_and_lower_case_are_one_alphabet(self) -> None:
        table = RouteTable([http("B", "{x}"), http("a", "{x}")], "")
        assert found_name(table, "GET", "/1") == "a"


def found_name(table: RouteTable, method: str, path: str) -> str | None:
    function = table.find(method, path).function
    return function.name if function else None


class TestMethods:
    table = RouteTable([http("get", "jobs", "GET"), http("post", "jobs", "post", "PUT"), http("any", "any")], "")

    @pytest.mark.parametrize(
        ("method", "path", "name", "allowed"),
        [
            ("GET", "/jobs", "get", {"GET"}),
            ("POST", "/jobs", "post", {"POST", "PUT"}),
            ("DELETE", "/jobs", None, {"GET", "POST", "PUT"}),
            ("HEAD", "/jobs", None, {"GET", "POST", "PUT"}),
            ("DELETE", "/any", "any", set()),
            ("GET", "/none", None, set()),
        ],
    )
    def test_methods(self, method: str, path: str, name: str | None, allowed: set[str]) -> None:
        assert found_name(self.table, method, path) == name
        assert self.table.find(method, path).allowed == allowed


@pytest.mark.parametrize("template", ["{a}/{a}", "{a:nonsense}", "{}", "{a:int(}", "{a", "a}b", "{a:regex([)}"])
def test_a_wrong_template_stops_the_start_with_its_function(template: str) -> None:
    with pytest.raises(HostConfigurationError, match="function f"):
        RouteTable([http("f", template)], "")
