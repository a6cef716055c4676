"""The API's own description: for programs, and as a page for people. Made at the first request, not at the start."""

from __future__ import annotations

import azure.functions as func

from shared.auth import Caller
from shared.clients.provider import clients
from shared.responses import Reply, endpoint
from triggers.blueprint import http


@http("api/openapi.json", "GET", name="openapi")
@endpoint
def show_openapi(req: func.HttpRequest, caller: Caller) -> Reply:  # noqa: ARG001
    """The OpenAPI 3.1 document."""
    from triggers.contract.document import as_json

    return Reply(content=as_json(clients().settings.auth_mode))


@http("api/docs", "GET", name="docs")
@endpoint
def show_docs(req: func.HttpRequest, caller: Caller) -> Reply:  # noqa: ARG001
    """The same as a page that needs no script and loads nothing."""
    from triggers.contract.document import as_page
    from triggers.contract.page import POLICY

    headers = {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer"}
    return Reply(headers=headers, content=as_page(clients().settings.auth_mode), content_type="text/html")
