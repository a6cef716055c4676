"""docs/azure.md against the files: it names each role with its reason, and each parameter."""

from __future__ import annotations

import re

from deploy.package import REPOSITORY
from tests.infra.bicep import MAIN, parameter_file, read, text
from tests.infra.test_access import ASSIGNED, BUILT_IN

DOCUMENT = (REPOSITORY / "docs" / "azure.md").read_text()


def role_rows() -> list[list[str]]:
    """Rows of the table of roles: who, role, on what, why."""
    section = DOCUMENT.split("\n## Roles\n")[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("|")
    ]
    return rows[2:]


def test_every_role_is_there_with_its_reason_and_no_other() -> None:
    given = {BUILT_IN[role][0] for _, _, role in ASSIGNED if role in BUILT_IN}
    listed = [role for _, role, _, _ in role_rows()]
    assert {role for role in listed if not role.startswith("*custom*")} == given
    assert sum(role.startswith("*custom*") for role in listed) == len(
        [1 for *_, role in ASSIGNED if role not in BUILT_IN]
    )
    assert all(len(reason) > len("pull") for *_, reason in role_rows())


def test_every_parameter_is_there() -> None:
    listed = set(re.findall(r"`((?:ELB|AZURE)_[A-Z_]+)`", DOCUMENT))
    assert {value.strip("${}").split("=")[0] for value in parameter_file().values()} <= listed


def test_defaults_that_it_names_are_those_of_main() -> None:
    table = DOCUMENT.split("\n## Parameters\n")[1].split("\n### ")[0]
    rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("| `ELB")]
    defaults = {
        value.strip("${}").split("=")[0]: value.strip("${}").partition("=")[2] for value in parameter_file().values()
    }
    for names, default, *_ in rows:
        shown = re.findall(r"`([^`]*)`", default)
        wanted = [defaults[name] for name in re.findall(r"`(ELB_[A-Z_]+)`", names)]
        if shown and not shown[0].startswith("aks-"):
            assert [value for value in wanted if value] == shown, names


def test_the_names_that_it_gives_are_those_of_the_files() -> None:
    made = {
        match[1]
        for module in read(MAIN).modules
        if (params := module.property("params")) is not None
        for match in re.finditer(r"'([a-z-]+)\$\{suffix\}'", text(params))
        if not match[1].startswith("pe-")
    }
    assert made
    for prefix in made:
        assert f"`{prefix}..." in DOCUMENT, prefix
