"""The emulator's HTTP side: ARM's paths, matched without regard to case as ARM does, and ARM's headers and errors.

Used by ``__main__`` and by the tests. Beside ARM's own there are two routes for tests, with the same token:
``PATCH /control/cluster`` changes any field of :class:`local.azure.model.Cluster`, ``PUT /control/faults`` sets faults.
These two are refused to a web page as well: `Host`, and `Origin` if there is one, must be a loopback name.
"""

from __future__ import annotations

import hmac
import re
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from local.azure import resources
from local.azure.errors import ArmError, cluster_not_found, group_not_found, subscription_not_found
from local.azure.faults import Faults
from local.azure.model import RUNNING, STOPPED, Operation
from local.azure.resources import Scope
from local.azure.service import Service
from local.loopback import is_local

Answer = web.Response
Handler = Callable[["Arm", web.Request, dict[str, str]], Awaitable[Answer]]
_SUBSCRIPTION = r"/subscriptions/(?P<subscription>[^/]+)"
_GROUP = _SUBSCRIPTION + r"/resourceGroups/(?P<group>[^/]+)"
_CLUSTERS = r"/providers/Microsoft\.ContainerService/managedClusters"
_CLUSTER = _GROUP + _CLUSTERS + r"/(?P<cluster>[^/]+)"
_OPERATIONS = _SUBSCRIPTION + r"/providers/Microsoft\.ContainerService/locations/[^/]+"
_ROLES = r"(?P<scope>(?:/[^/]+)*)/providers/Microsoft\.Authorization/roleAssignments"


class Arm:
    """All routes.

    Args:
        scope: the emulated cluster.
        service: its state.
        token: the bearer token to accept.
    """

    def __init__(self, scope: Scope, service: Service, token: str) -> None:
        self.scope = scope
        self.service = service
        self.faults = Faults()
        self._token = token

    def application(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)

        async def life(_: web.Application) -> Any:
            self.service.resume()
            yield
            await self.service.close()

        app.cleanup_ctx.append(life)
        return app

    def check_scope(self, found: dict[str, str]) -> None:
        """Hold the names in a path against the one cluster there is.

        Raises:
            ArmError: 404, with the code of the outermost thing that is not there.
        """
        scope = self.scope
        if not _equal(found["subscription"], scope.subscription):
            raise subscription_not_found(found["subscription"])
        if "group" in found and not _equal(found["group"], scope.group):
            raise group_not_found(found["group"])
        if "cluster" in found and not (_equal(found["cluster"], scope.cluster) and self.service.cluster.exists):
            raise cluster_not_found(found["group"], found["cluster"])

    async def _answer(self, request: web.Request) -> Answer:
        try:
            self._authenticate(request)
            await self.faults.apply(request.method, request.path)
            answer = await self._dispatch(request)
        except ArmError as error:
            answer = web.json_response(error.body(), status=error.status, headers=error.headers)
        answer.headers["x-ms-request-id"] = str(uuid.uuid4())
        answer.headers["x-ms-correlation-request-id"] = request.headers.get(
            "x-ms-correlation-request-id", str(uuid.uuid4())
        )
        answer.headers["Cache-Control"] = "no-cache"
        return answer

    def _authenticate(self, request: web.Request) -> None:
        challenge = {"WWW-Authenticate": 'Bearer authorization_uri="https://login.microsoftonline.com/"'}
        given = request.headers.get("Authorization", "")
        if not given:
            message = "Authentication failed. The 'Authorization' header is missing."
            raise ArmError(401, "AuthenticationFailed", message, challenge)
        if not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
            raise ArmError(401, "InvalidAuthenticationToken", "The access token is invalid.", challenge)

    async def _dispatch(self, request: web.Request) -> Answer:
        path = request.path.rstrip("/")
        if path.startswith("/control/"):
            if not is_local(request):
                raise ArmError(403, "Forbidden", "The control routes are for this machine only.")
        elif "api-version" not in request.query:
            message = "The api-version query parameter (?api-version=) is required for all requests."
            raise ArmError(400, "MissingApiVersionParameter", message)
        known = [(method, match, handler) for method, pattern, handler in _ROUTES if (match := pattern.fullmatch(path))]
        for method, match, handler in known:
            if method == request.method:
                return await handler(self, request, match.groupdict())
        if known:
            raise ArmError(405, "MethodNotAllowed", f"{request.method} is not supported here.")
        raise ArmError(404, "InvalidResourceType", f"The emulator does not know the path {request.path}.")


async def _get_cluster(arm: Arm, _: web.Request, found: dict[str, str]) -> Answer:
    arm.check_scope(found)
    return web.json_response(resources.managed_cluster(arm.scope, arm.service.cluster))


async def _list_clusters(arm: Arm, _: web.Request, found: dict[str, str]) -> Answer:
    arm.check_scope(found)
    there = [resources.managed_cluster(arm.scope, arm.service.cluster)] if arm.service.cluster.exists else []
    return web.json_response({"value": there})


async def _start(arm: Arm, request: web.Request, found: dict[str, str]) -> Answer:
    arm.check_scope(found)
    return _accepted(arm, request, arm.service.request(RUNNING))


async def _stop(arm: Arm, request: web.Request, found: dict[str, str]) -> Answer:
    arm.check_scope(found)
    return _accepted(arm, request, arm.service.request(STOPPED))


def _accepted(arm: Arm, request: web.Request, operation: Operation) -> Answer:
    place = f"/subscriptions/{arm.scope.subscription}/providers/Microsoft.ContainerService/locations/{arm.scope.region}"
    version = f"?api-version={request.query['api-version']}"
    headers = {
        "Azure-AsyncOperation": f"{request.url.origin()}{place}/operations/{operation.name}{version}",
        "Location": f"{request.url.origin()}{place}/operationresults/{operation.name}{version}",
        "Retry-After": "1",
    }
    return web.Response(status=202, headers=headers)


def _operation(arm: Arm, found: dict[str, str]) -> Operation:
    arm.check_scope(found)
    for operation in arm.service.cluster.operations:
        if operation.name == found["operation"]:
            return operation
    raise ArmError(404, "NotFound", f"The operation '{found['operation']}' was not found.")


async def _operation_status(arm: Arm, _: web.Request, found: dict[str, str]) -> Answer:
    operation = _operation(arm, found)
    return web.json_response(operation.to_arm(), headers={} if operation.ended else {"Retry-After": "1"})


async def _operation_result(arm: Arm, request: web.Request, found: dict[str, str]) -> Answer:
    operation = _operation(arm, found)
    return web.Response(status=204) if operation.ended else _accepted(arm, request, operation)


async def _user_credential(arm: Arm, _: web.Request, found: dict[str, str]) -> Answer:
    arm.check_scope(found)
    return web.json_response(resources.credentials(arm.scope, "clusterUser"))


async def _admin_credential(arm: Arm, _: web.Request, found: dict[str, str]) -> Answer:
    arm.check_scope(found)
    return web.json_response(resources.credentials(arm.scope, "clusterAdmin"))


async def _list_pools(arm: Arm, _: web.Request, found: dict[str, str]) -> Answer:
    arm.check_scope(found)
    profiles = resources.agent_pool_profiles(arm.scope, arm.service.cluster)
    return web.json_response({"value": [resources.agent_pool(arm.scope, profile) for profile in profiles]})


async def _get_pool(arm: Arm, _: web.Request, found: dict[str, str]) -> Answer:
    arm.check_scope(found)
    for profile in resources.agent_pool_profiles(arm.scope, arm.service.cluster):
        if _equal(profile["name"], found["pool"]):
            return web.json_response(resources.agent_pool(arm.scope, profile))
    raise ArmError(404, "NotFound", f"The agent pool '{found['pool']}' was not found.")


async def _get_group(arm: Arm, _: web.Request, found: dict[str, str]) -> Answer:
    arm.check_scope(found)
    return web.json_response(resources.resource_group(arm.scope))


async def _put_role(arm: Arm, request: web.Request, found: dict[str, str]) -> Answer:
    body = await _json(request)
    made, new = arm.service.roles.put(found["scope"], found["name"], body.get("properties") or {})
    arm.service.save()
    return web.json_response(made, status=201 if new else 200)


async def _get_role(arm: Arm, _: web.Request, found: dict[str, str]) -> Answer:
    return web.json_response(arm.service.roles.get(found["scope"], found["name"]))


async def _delete_role(arm: Arm, _: web.Request, found: dict[str, str]) -> Answer:
    removed = arm.service.roles.delete(found["scope"], found["name"])
    arm.service.save()
    return web.Response(status=204) if removed is None else web.json_response(removed)


async def _list_roles(arm: Arm, request: web.Request, found: dict[str, str]) -> Answer:
    wanted = re.search(r"(?:principalId eq|assignedTo\() ?'([^']+)'", request.query.get("$filter", ""))
    return web.json_response({"value": arm.service.roles.at(found["scope"], wanted.group(1) if wanted else None)})


async def _change_cluster(arm: Arm, request: web.Request, _: dict[str, str]) -> Answer:
    cluster = arm.service.cluster
    for name, value in (await _json(request)).items():
        if name == "operations" or name not in cluster.to_dict():
            raise ArmError(400, "BadRequest", f"The cluster has no field '{name}' to set.")
        setattr(cluster, name, value)
    arm.service.save()
    return web.json_response(cluster.to_dict())


async def _set_faults(arm: Arm, request: web.Request, _: dict[str, str]) -> Answer:
    body = await _json(request)
    try:
        arm.faults.replace(body["faults"])
    except (KeyError, TypeError) as error:
        raise ArmError(400, "BadRequest", f'Send {{"faults": [...]}}: {error}') from error
    return web.Response(status=204)


async def _json(request: web.Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except ValueError as error:
        raise ArmError(400, "InvalidRequestContent", f"The request content is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise ArmError(400, "InvalidRequestContent", "The request content is not a JSON object.")
    return body


def _equal(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()


_ROUTES: list[tuple[str, re.Pattern[str], Handler]] = [
    (method, re.compile(pattern, re.IGNORECASE), handler)
    for method, pattern, handler in (
        ("GET", _CLUSTER, _get_cluster),
        ("GET", _GROUP + _CLUSTERS, _list_clusters),
        ("GET", _SUBSCRIPTION + _CLUSTERS, _list_clusters),
        ("POST", _CLUSTER + "/start", _start),
        ("POST", _CLUSTER + "/stop", _stop),
        ("POST", _CLUSTER + "/listClusterUserCredential", _user_credential),
        ("POST", _CLUSTER + "/listClusterAdminCredential", _admin_credential),
        ("GET", _CLUSTER + "/agentPools", _list_pools),
        ("GET", _CLUSTER + "/agentPools/(?P<pool>[^/]+)", _get_pool),
        ("GET", _OPERATIONS + "/operations/(?P<operation>[^/]+)", _operation_status),
        ("GET", _OPERATIONS + "/operationresults/(?P<operation>[^/]+)", _operation_result),
        ("GET", _GROUP, _get_group),
        ("PUT", _ROLES + "/(?P<name>[^/]+)", _put_role),
        ("GET", _ROLES + "/(?P<name>[^/]+)", _get_role),
        ("DELETE", _ROLES + "/(?P<name>[^/]+)", _delete_role),
        ("GET", _ROLES, _list_roles),
        ("PATCH", "/control/cluster", _change_cluster),
        ("PUT", "/control/faults", _set_faults),
    )
]
