"""Deploy elb-openapi, or repair what is there of it, and look whether it runs. Both may run any number of times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.clients.kube import Kube
from shared.clients.provider import clients
from shared.domain.cli_manifest import APP_OPENAPI
from shared.domain.errors import ConflictError, NotFoundError, PermanentError, TransientError
from shared.domain.openapi_manifest import OPENAPI_IMAGE, OpenApi, is_as_wanted, is_available, replacement, why_not
from shared.domain.search import ClusterRef
from shared.telemetry import log_event


def deploy_openapi(data: dict[str, Any]) -> dict[str, Any]:
    """Make every object what it is to be; one that is so already is not written.

    Args:
        data: ``cluster``.

    Returns:
        ``created`` and ``replaced``: kinds of the objects that were not there, or not as they are to be.

    Raises:
        PermanentError: ``kube_refused``.
        TransientError: the cluster does not answer, or what is in the way is being deleted.
    """
    cluster, settings = ClusterRef.from_dict(data["cluster"]), clients().settings
    openapi = OpenApi(cluster, settings.image(OPENAPI_IMAGE), settings.namespace, settings.region, settings.acr_name)
    kube = clients().kube(cluster)
    done: dict[str, list[str]] = {"created": [], "replaced": []}
    for kind, wanted in openapi.objects():
        change = _ensure(kube, kind, wanted)
        if change:
            done[change].append(kind)
    log_event("openapi_deployed", cluster=cluster.cluster_name, changes=done)
    return {**done}


def _ensure(kube: Kube, kind: str, wanted: Mapping[str, Any]) -> str:
    """Make one object what it is to be; which change that took, if any."""
    try:
        present = kube.get(kind, APP_OPENAPI)
    except NotFoundError:
        try:
            kube.create(kind, wanted)
        except ConflictError as error:  # somebody made it meanwhile, or an answer of ours was lost
            raise TransientError("openapi_contended", f"{kind} {APP_OPENAPI}: {error.message}", "try again") from error
        return "created"
    if present["metadata"].get("deletionTimestamp"):
        raise TransientError("openapi_terminating", f"{kind} {APP_OPENAPI} of before is still going", "try again")
    if is_as_wanted(present, wanted):
        return ""
    try:
        kube.replace(kind, replacement(present, wanted))
    except (ConflictError, NotFoundError) as error:
        raise TransientError("openapi_contended", f"{kind} {APP_OPENAPI}: {error.message}", "try again") from error
    except PermanentError as error:
        # A selector or a role's reference, say, that somebody else chose and nobody can change any more.
        kube.delete(kind, APP_OPENAPI)
        raise TransientError("openapi_terminating", f"{kind} {APP_OPENAPI}: {error.message}", "try again") from error
    return "replaced"


def observe_openapi(data: dict[str, Any]) -> dict[str, Any]:
    """Whether elb-openapi runs.

    Args:
        data: ``cluster``.

    Returns:
        ``available``, and the ``reason`` where it is not. A deployment that is gone is deployed anew by the caller:
        ``missing``.
    """
    kube = clients().kube(ClusterRef.from_dict(data["cluster"]))
    try:
        deployment = kube.get("deployments", APP_OPENAPI)
    except NotFoundError:
        return {"available": False, "missing": True, "reason": "somebody removed the deployment"}
    if is_available(deployment):
        return {"available": True}
    return {"available": False, "reason": why_not(deployment, kube.pods(f"app={APP_OPENAPI}"))}
