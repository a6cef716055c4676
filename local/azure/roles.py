"""Role assignments. Used by the handlers; the rules are those that a caller who repeats himself runs into.

- The same name with the same content: the assignment that is there, 200.
- Another name for the same scope, principal and role: 409 ``RoleAssignmentExists``.
- The same name with another content: 409 ``RoleAssignmentUpdateNotPermitted``, because nothing of one can be changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local.azure.errors import ArmError

_IDENTITY = ("scope", "principalId", "roleDefinitionId")


class RoleAssignments:
    """All assignments, at every scope.

    Args:
        kept: name -> assignment, from an earlier run.
    """

    def __init__(self, kept: Mapping[str, dict[str, Any]] | None = None) -> None:
        self.items: dict[str, dict[str, Any]] = dict(kept or {})

    def put(self, scope: str, name: str, properties: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
        """Make an assignment.

        Returns:
            The assignment, and whether it is new.

        Raises:
            ArmError: 400 when a property is missing, 409 as above.
        """
        for needed in ("principalId", "roleDefinitionId"):
            if not properties.get(needed):
                raise ArmError(400, "InvalidCreateRoleAssignmentRequest", f"The property '{needed}' is required.")
        wanted = {"scope": scope, **properties}
        there = self.items.get(_key(scope, name))
        if there is not None:
            if _same(there["properties"], wanted):
                return there, False
            message = "Tenant ID, application ID, principal ID, and scope are not allowed to be updated."
            raise ArmError(409, "RoleAssignmentUpdateNotPermitted", message)
        if any(_same(item["properties"], wanted) for item in self.items.values()):
            raise ArmError(409, "RoleAssignmentExists", "The role assignment already exists.")
        made = {
            "id": f"{scope}/providers/Microsoft.Authorization/roleAssignments/{name}",
            "name": name,
            "type": "Microsoft.Authorization/roleAssignments",
            "properties": {"principalType": "ServicePrincipal", **wanted},
        }
        self.items[_key(scope, name)] = made
        return made, True

    def get(self, scope: str, name: str) -> dict[str, Any]:
        """One assignment.

        Raises:
            ArmError: 404, there is none.
        """
        found = self.items.get(_key(scope, name))
        if found is None:
            raise ArmError(404, "RoleAssignmentNotFound", f"The role assignment '{name}' is not found.")
        return found

    def delete(self, scope: str, name: str) -> dict[str, Any] | None:
        """Remove an assignment; None when there was none."""
        return self.items.pop(_key(scope, name), None)

    def at(self, scope: str, principal: str | None = None) -> list[dict[str, Any]]:
        """The assignments that act at a scope: its own and those of what encloses it.

        Args:
            scope: an ARM id.
            principal: only those of this principal.
        """
        here = scope.casefold() + "/"
        return [
            item
            for item in self.items.values()
            if here.startswith(item["properties"]["scope"].casefold() + "/")
            and principal in (None, item["properties"]["principalId"])
        ]


def _key(scope: str, name: str) -> str:
    return f"{scope}|{name}".casefold()


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(str(one[key]).casefold() == str(other[key]).casefold() for key in _IDENTITY)
