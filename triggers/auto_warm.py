"""What a cluster is to have warm by itself, over HTTP: read it, change it."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import azure.functions as func
from pydantic import Field

from shared.auth import Caller, Role
from shared.clients.auto_warming import read_storage
from shared.clients.preferences import StoredPreference
from shared.clients.provider import clients
from shared.domain.auto_warm import Attempt, StorageState, Stored, why_not_sharded
from shared.domain.errors import MalformedError
from shared.domain.preference import MAX_DATABASES, PreferenceChange
from shared.domain.times import format_time
from shared.responses import Reply, endpoint
from triggers.blueprint import http
from triggers.requests import ClusterFields, as_model, read_body

_ETAG = re.compile(r'"([\x21\x23-\x7e]*)"')


class PreferenceRequest(ClusterFields):
    """``PUT /api/warmup/auto-preference``: the whole list, or names to be added and removed."""

    databases: list[str] | None = Field(None, max_length=MAX_DATABASES)
    add: list[str] = Field(default_factory=list, max_length=MAX_DATABASES)
    remove: list[str] = Field(default_factory=list, max_length=MAX_DATABASES)
    enabled: bool | None = None


@http("api/warmup/auto-preference", "GET", name="warmup_auto_preference")
@endpoint
def show_preference(req: func.HttpRequest, caller: Caller) -> Reply:  # noqa: ARG001
    """A cluster's preference, and how each of its databases stands with it; the cluster itself is not asked."""
    fields = {name: req.params[name] for name in ClusterFields.model_fields if name in req.params}
    cluster = as_model(fields, ClusterFields).resolve(clients().settings)
    stored = clients().preferences.read(cluster)
    found = read_storage(cluster.storage_account, stored.preference.databases)
    attempts = clients().preferences.attempts(cluster)
    items = [_item(name, found[name], attempts.get(name)) for name in stored.preference.databases]
    return Reply({**stored.preference.to_dict(), "saved": stored.is_saved, "items": items}, headers=_headers(stored))


@http("api/warmup/auto-preference", "PUT", name="warmup_auto_preference_save")
@endpoint
def save_preference(req: func.HttpRequest, caller: Caller) -> Reply:
    """Change a cluster's preference; with ``If-Match`` only where it is still the one that the caller has seen."""
    caller.need(Role.OPERATOR)
    request = read_body(req, PreferenceRequest)
    cluster = request.resolve(clients().settings)
    databases = None if request.databases is None else tuple(request.databases)
    change = PreferenceChange(databases, tuple(request.add), tuple(request.remove), request.enabled)
    stored = clients().preferences.save(cluster, change, _expected(req.headers.get("If-Match")))
    body = {"status": "saved", "preference": stored.preference.to_dict()}
    return Reply(body, headers=_headers(stored))


def _headers(stored: StoredPreference) -> dict[str, str]:
    return {"ETag": f'"{stored.version}"'}


def _expected(header: str | None) -> Collection[str] | None:
    """The versions of an ``If-Match`` header; None for no header and for ``*`` (RFC 9110, 13.1.1).

    Raises:
        MalformedError: ``invalid_if_match``.
    """
    if header is None or header.strip() == "*":
        return None
    parts = [part.strip() for part in header.split(",")]
    found = [_ETAG.fullmatch(part.removeprefix("W/")) for part in parts]
    if not all(found):
        raise MalformedError(
            "invalid_if_match", "If-Match has no ETag in it", "send the ETag of the GET with its quotes"
        )
    return {match[1] for match in found if match}


def _item(name: str, stored: Stored, attempt: Attempt | None) -> dict[str, Any]:
    """How a database stands with auto-warm: why it is skipped, and its tries since it was last warm for a while."""
    skipped = None if stored.state is StorageState.SHARDED else why_not_sharded(name, stored)
    return {
        "database": name,
        "storage_state": stored.state.value,
        "skipped_because": skipped,
        "tries": attempt.tries if attempt else 0,
        "last_instance_id": (attempt.instance_id or None) if attempt else None,
        "next_try_at": format_time(attempt.next_at) if attempt and attempt.tries else None,
    }
