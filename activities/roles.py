"""Give the nodes' identity the roles that it needs; what the app may not assign is said, not failed."""

from __future__ import annotations

from typing import Any

from shared.clients.provider import clients
from shared.domain.errors import PermanentError
from shared.domain.roles import PROPAGATION_SECONDS, RoleAssignment, kubelet_identity, wanted_roles
from shared.domain.search import ClusterRef
from shared.telemetry import log_event


def ensure_roles(data: dict[str, Any]) -> dict[str, Any]:
    """Assign every role that is missing; the same ones twice are made once.

    Args:
        data: ``cluster``.

    Returns:
        ``created``: whether any is new, and ``wait_seconds``: how long storage may still refuse because of that;
        ``warnings``: one for each role that could not be assigned, with ``role``, ``code``, ``message`` and ``hint``
        (the line that assigns it). The role may be there nevertheless, or another one that does as well.

    Raises:
        TransientError: ``arm_unavailable``, ``principal_not_found``.
    """
    cluster = ClusterRef.from_dict(data["cluster"])
    warnings: list[dict[str, Any]] = []
    created = False
    try:
        principal = kubelet_identity(clients().arm.cluster(cluster))
        wanted = wanted_roles(cluster, principal, clients().settings.acr_name)
    except PermanentError as error:
        return {"created": False, "wait_seconds": 0, "warnings": [error.to_dict()]}
    for assignment in wanted:
        try:
            created = clients().arm.assign_role(assignment) or created
        except PermanentError as error:
            warnings.append(_warning(assignment, error))
    log_event("roles_ensured", cluster=cluster.cluster_name, created=created, warnings=len(warnings))
    return {"created": created, "wait_seconds": PROPAGATION_SECONDS if created else 0, "warnings": warnings}


def _warning(assignment: RoleAssignment, error: PermanentError) -> dict[str, Any]:
    hint = error.hint if assignment.command() in error.hint else f"somebody who may: {assignment.command()}"
    return {"role": assignment.role.label, "code": error.code, "message": error.message, "hint": hint}
