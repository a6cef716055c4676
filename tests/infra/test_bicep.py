"""The Bicep files are whole: they parse, and every name, module, parameter and output that one uses is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.infra.bicep import FILES, INFRA, MAIN, Block, declared, named, parameter_file, properties, read, text, walk

FUNCTIONS = {
    "cidrSubnet", "concat", "empty", "environment", "guid", "items", "join", "loadJsonContent",
    "loadTextContent", "map", "max", "replace", "resourceGroup", "resourceId", "split", "string", "subscription",
    "subscriptionResourceId", "tenant", "union", "uniqueString",
}  # fmt: skip
"""Functions of Bicep that the files use (Microsoft Learn, "Bicep functions")."""
SUBSCRIPTION_FILE = {
    "environmentName": "AZURE_ENV_NAME",
    "location": "AZURE_LOCATION",
    "resourceGroupName": "AZURE_RESOURCE_GROUP",
}
"""Parameters whose variable azd itself gives a name to; all others are ELB_ and the parameter's name."""


def short(path: Path) -> str:
    """A file's name in a report."""
    return str(path.relative_to(INFRA))


@pytest.mark.parametrize("path", FILES, ids=short)
class TestEachFile:
    def test_parses(self, path: Path) -> None:
        wrong = [node for node in walk(read(path).root) if node.type == "ERROR" or node.is_missing]
        assert not wrong, [(node.start_point.row + 1, text(node)[:60]) for node in wrong]

    def test_every_name_is_declared(self, path: Path) -> None:
        bicep = read(path)
        names, known = list(named(bicep)), declared(bicep)
        assert {name for name, called in names if called} <= FUNCTIONS
        assert {name for name, called in names if not called} <= known

    def test_every_parameter_and_variable_is_used(self, path: Path) -> None:
        bicep = read(path)
        assert {*bicep.parameters, *bicep.variables} <= {name for name, _ in named(bicep)}

    def test_files_that_it_loads_are_there(self, path: Path) -> None:
        for loaded in re.findall(r"load\w+\('([^']+)'\)", path.read_text()):
            assert (path.parent / loaded).is_file(), loaded

    def test_resource_types_have_a_version(self, path: Path) -> None:
        for one in read(path).resources:
            if "/" in one.kind:
                assert re.fullmatch(r"Microsoft\.\w+(/\w+)+@20\d\d-\d\d-\d\d", one.kind)
            else:
                assert one.kind in (
                    "blobServices",
                    "config",
                    "containers",
                    "subnets",
                    "basicPublishingCredentialsPolicies",
                )


class TestModules:
    def test_each_file_is_called_once(self) -> None:
        called = [(INFRA / module.kind).resolve() for module in read(MAIN).modules]
        assert sorted(called) == [path for path in FILES if path != MAIN and "modules" in path.parts]

    @pytest.mark.parametrize("module", read(MAIN).modules, ids=lambda module: str(module.symbol))
    def test_gets_its_parameters_and_no_others(self, module: Block) -> None:
        params = module.property("params")
        assert params is not None
        wanted = read(INFRA / module.kind).parameters
        given = set(properties(params))
        assert given <= set(wanted)
        assert given >= {name for name, parameter in wanted.items() if parameter.default is None}

    def test_outputs_that_are_used_are_there(self) -> None:
        outputs = {module.symbol: set(read(INFRA / module.kind).outputs) for module in read(MAIN).modules}
        used = re.findall(r"\b(\w+)!?\.outputs\.(\w+)", MAIN.read_text())
        assert used
        for module, output in used:
            assert output in outputs[module], f"{module}.outputs.{output}"
        assert {(module, name) for module, names in outputs.items() for name in names} <= {
            *used,
            ("alerts", "actionGroupId"),
            ("alerts", "alertRuleIds"),
            ("newCluster", "name"),
            ("newRegistry", "name"),
        }

    def test_what_is_made_on_condition_is_read_on_condition(self) -> None:
        main = read(MAIN)
        conditional = {m.symbol for m in main.modules if any(c.type == "if_statement" for c in m.node.children)}
        read_from = set(re.findall(r"\b(\w+)(!?)\.outputs\.", MAIN.read_text()))
        assert {(name, mark) for name, mark in read_from if name in conditional} == {("scheduler", "!")}


class TestParameterFile:
    def test_has_the_parameters_of_main(self) -> None:
        assert list(parameter_file()) == list(read(MAIN).parameters)

    def test_its_defaults_are_those_of_main_and_an_empty_value_stays_empty(self) -> None:
        for name, value in parameter_file().items():
            match = re.fullmatch(r"\$\{([A-Z0-9_]+)(?:=([^{}]+))?\}", value)
            assert match, name
            snake = "ELB_" + re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()
            assert match[1] == SUBSCRIPTION_FILE.get(name, snake)
            default = read(MAIN).parameters[name].default
            assert (match[2] or "") == (default or "").strip("'"), name

    def test_what_is_required_has_no_default_anywhere(self) -> None:
        required = {name for name, parameter in read(MAIN).parameters.items() if parameter.default is None}
        assert required == {"environmentName", "location", "authClientId", "callbackSecret"}
