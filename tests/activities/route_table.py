"""Who may call which route: one line for each route that the app registers, and how to call it as the worker does.

``test_routes`` holds the table against the app in both directions and walks it; ``test_isolation`` takes from it the
routes of which each search has its own.
"""

from __future__ import annotations

import base64
import json
import re
from enum import Enum
from functools import cache
from typing import Any

import azure.functions as func

from shared.auth import OBJECT_ID_CLAIM
from tests.activities.fakes import World
from tests.activities.worlds import DB, QUERY, Json
from tests.registered import app_functions

PEOPLE: dict[str, tuple[str, ...] | None] = {"nobody": None, "anna": (), "bob": (), "olga": ("operator",)}
"""The roles of each: Anna has a search, Bob has none of his own, Olga is an operator; nobody has not signed in."""
IN = 0
"""In place of a status: the route does what it is for, or says what is wrong with the request."""


class Access(Enum):
    """What a route answers to nobody, to the owner of what it is about, to somebody else, and to an operator."""

    ANYBODY = (IN, IN, IN, IN)
    SIGNED_IN = (401, IN, IN, IN)
    OWNED = (401, IN, 404, IN)
    OWN_ONLY = (401, IN, 404, 404)
    """It is looked for among the caller's own, and an operator has other ones."""
    OPERATORS = (401, 403, 403, IN)
    TOKEN = (403, 403, 403, 403)
    """It asks for the search's own token, whoever comes with it."""


ROUTES: dict[tuple[str, str], Access] = {
    ("GET", "health"): Access.ANYBODY,
    ("GET", "api/health"): Access.ANYBODY,
    ("GET", "api/health/ready"): Access.SIGNED_IN,
    ("GET", "api/me"): Access.SIGNED_IN,
    ("GET", "api/openapi.json"): Access.SIGNED_IN,
    ("GET", "api/docs"): Access.SIGNED_IN,
    ("GET", "api/stats"): Access.SIGNED_IN,
    ("POST", "api/blast/jobs"): Access.SIGNED_IN,
    ("POST", "api/blast/submit"): Access.SIGNED_IN,
    ("POST", "api/blast/jobs/validate"): Access.SIGNED_IN,
    ("GET", "api/blast/jobs"): Access.SIGNED_IN,
    ("GET", "api/blast/jobs/{id}"): Access.OWNED,
    ("DELETE", "api/blast/jobs/{id}"): Access.OWNED,
    ("GET", "api/blast/jobs/{id}/events"): Access.OWNED,
    ("GET", "api/blast/jobs/{id}/results"): Access.OWNED,
    ("GET", "api/blast/jobs/{id}/results/{name}"): Access.OWNED,
    ("GET", "api/blast/jobs/{id}/hits"): Access.OWNED,
    ("GET", "api/blast/jobs/{id}/logs"): Access.OWNED,
    ("POST", "api/blast/jobs/{id}/cancel"): Access.OWNED,
    ("POST", "api/blast/jobs/{id}/retry"): Access.OWNED,
    ("POST", "api/blast/jobs/{id}/clone"): Access.OWNED,
    ("POST", "api/blast/jobs/{id}/notify"): Access.TOKEN,
    ("POST", "api/blast/queries"): Access.SIGNED_IN,
    ("POST", "api/blast/queries/uploads"): Access.SIGNED_IN,
    ("POST", "api/blast/queries/uploads/{id}/commit"): Access.OWN_ONLY,
    ("GET", "api/blast/databases"): Access.SIGNED_IN,
    ("POST", "api/blast/databases/{db}/shards"): Access.OPERATORS,
    ("POST", "api/warmup/start"): Access.OPERATORS,
    ("POST", "api/warmup/release"): Access.OPERATORS,
    ("GET", "api/warmup/active"): Access.OPERATORS,
    ("GET", "api/warmup/{instance_id}/status"): Access.OPERATORS,
    ("GET", "api/warmup/auto-preference"): Access.SIGNED_IN,
    ("PUT", "api/warmup/auto-preference"): Access.OPERATORS,
    ("GET", "api/monitor/aks"): Access.SIGNED_IN,
    ("GET", "api/monitor/aks/nodes"): Access.SIGNED_IN,
    ("GET", "api/monitor/aks/warmup-status"): Access.SIGNED_IN,
    ("POST", "api/aks/start"): Access.OPERATORS,
    ("POST", "api/aks/stop"): Access.OPERATORS,
    ("POST", "api/aks/openapi/deploy"): Access.OPERATORS,
    ("GET", "api/aks/operations/{instance_id}"): Access.OPERATORS,
}
OWNED = [route for route, access in ROUTES.items() if access is Access.OWNED]

_SUBMIT: Json = {"program": "blastn", "database": DB, "query_fasta": QUERY.decode()}
BODIES: dict[str, Json | bytes] = {
    "api/blast/queries": QUERY,
    "api/blast/jobs": _SUBMIT,
    "api/blast/submit": _SUBMIT,
    "api/blast/jobs/validate": _SUBMIT,
    "api/blast/databases/{db}/shards": {"shards": 2},
    "api/warmup/start": {"database": DB},
}
"""What a request sends that is to do something; an empty object for the others."""
DONE = frozenset({200, 201, 202, 204})
REFUSED = {
    ("POST", "api/blast/jobs/{id}/retry"): 409,  # the search is completed
    ("POST", "api/warmup/release"): 422,  # no database is named: one that is would be waited for
}
"""What those get who may, where the request cannot be done."""
OPERATION = "start-0123456789abcdef-1"
WARMUP = "warmup-0123"
UPLOAD = "0" * 31 + "1"
"""Of Anna's, written and not committed."""
PARAMETERS = {
    ("api/aks/operations/{instance_id}", "instance_id"): OPERATION,
    ("api/warmup/{instance_id}/status", "instance_id"): WARMUP,
    ("api/blast/jobs/{id}/results/{name}", "name"): "results.tsv",
    ("api/blast/databases/{db}/shards", "db"): DB,
}


@cache
def registered() -> dict[tuple[str, str], Any]:
    """Method and route -> the app's own function."""
    return {
        (str(method.value), str(trigger.route)): function
        for function in app_functions()
        if (trigger := function.get_trigger()).type == "httpTrigger"
        for method in trigger.methods
    }


def principal(owner: str, *roles: str) -> dict[str, str]:
    """The header that the platform puts on a signed-in request."""
    claims = [{"typ": OBJECT_ID_CLAIM, "val": owner}, *({"typ": "roles", "val": role} for role in roles)]
    text = json.dumps({"auth_typ": "aad", "claims": claims})
    return {"X-MS-CLIENT-PRINCIPAL": base64.b64encode(text.encode()).decode()}


def person(name: str) -> dict[str, str]:
    """The headers of one of the ``PEOPLE``."""
    roles = PEOPLE[name]
    return {} if roles is None else principal(name, *roles)


def call(
    world: World,
    route: tuple[str, str],
    headers: dict[str, str],
    an_id: str = "",
    body: Any = None,
    params: dict[str, str] | None = None,
) -> func.HttpResponse:
    """Call the registered function of a route, as the worker does.

    Args:
        an_id: in place of ``{id}``.
        body: a JSON value, or bytes as they are; what ``BODIES`` has where it is None.
        params: of the query.
    """
    method, template = route
    function = registered()[route]
    in_path = {name: PARAMETERS.get((template, name), an_id) for name in re.findall(r"\{(\w+)\}", template)}
    sent = BODIES.get(template, {}) if body is None else body
    content = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
    request = func.HttpRequest(
        method,
        "https://app/" + template.format(**in_path),
        headers={"Host": "app"} | headers,
        params=params or {},
        route_params=in_path,
        body=b"" if method == "GET" else content,
    )
    is_durable = any(binding.type == "durableClient" for binding in function.get_bindings())
    handler = function.get_user_function()
    handler = getattr(handler, "__wrapped__", handler) if is_durable else handler
    answer: func.HttpResponse = handler(request, *((world.durable,) if is_durable else ()))
    return answer
