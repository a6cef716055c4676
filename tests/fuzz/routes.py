"""One line for each route that the app registers: a request that it accepts, whose strings are then made hostile.

A route without a line here fails a test, and so does a line without a route.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import quote

import azure.functions as func

from shared.domain.callback import callback_token
from tests.activities.worlds import DB, QUERY, Json, job_id
from tests.registered import app_functions

SECRET = "callback-key-4711"
RUNNING, FAILED, DONE = job_id(1), job_id(2), job_id(3)
OPERATION, WARMUP = "start-0123456789abcdef-1", "warmup-0123456789abcdef"
CLUSTER: Json = {
    "subscription_id": "sub",
    "resource_group": "group",
    "cluster_name": "cluster",
    "storage_account": "store",
}
OPTIONS: Json = {
    "task": "megablast",
    "evalue": 0.01,
    "max_target_seqs": 50,
    "word_size": 28,
    "outfmt": "6 std",
    "extra": "-dust no -strand plus",
}
SUBMIT: Json = {
    "program": "blastn",
    "database": DB,
    "query_fasta": QUERY.decode(),
    "title": "run 7",
    "labels": {"project": "x"},
    "options": OPTIONS,
    "engine": "native",
    "batch_len": 5000,
    "priority": "normal",
    "cluster": CLUSTER,
    "webhook_url": "https://hooks.example.org/elb?token=x",
}
UPLOAD = "0" * 31 + "1"
"""Written by its owner and not committed yet."""
UPLOADED = {"program": "blastn", "storage_account": "store"}
HOST = {"Host": "localhost:7071"}
KEY = {"Idempotency-Key": "key-7"}
LIST = {"limit": "50", "cursor": ""}
Place = tuple[str | int, ...]
"""Where a string is: ``path``, ``query``, ``header`` or ``body``, then its name or its way into the body."""
WHOLE: Place = ("body", "(whole)")
"""The body itself."""


@dataclass(frozen=True)
class Call:
    """A request that is accepted, and with which status."""

    status: int = 200
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Json | bytes | None = None

    def places(self) -> list[Place]:
        """Every place of a string, and of what could be one."""
        found: list[Place] = [("path", name) for name in self.path]
        found += [("query", name) for name in self.query]
        found += [("header", name) for name in self.headers]
        if isinstance(self.body, bytes):
            found.append(WHOLE)
        elif self.body is not None:
            found += [("body", *way) for way in _ways(self.body)] + [WHOLE]
        return found

    def request(self, method: str, route: str, hostile: Mapping[Place, str]) -> func.HttpRequest:
        """The request with these strings in these places; ``hostile`` is asked with what is right there."""
        path = {name: hostile.get(("path", name), value) for name, value in self.path.items()}
        query = {name: hostile.get(("query", name), value) for name, value in self.query.items()}
        headers = {**HOST, **self.headers}
        headers |= {name: hostile.get(("header", name), value) for name, value in headers.items()}
        url = "http://localhost:7071/" + "/".join(
            quote(path[part.strip("{*}").partition(":")[0]], safe="", errors="replace") if part[:1] == "{" else part
            for part in route.split("/")
        )
        return func.HttpRequest(
            method,
            url,
            headers=headers,
            params={name: value for name, value in query.items() if value},
            route_params=path,
            body=self._content(hostile),
        )

    def _content(self, hostile: Mapping[Place, str]) -> bytes:
        if WHOLE in hostile:
            return hostile[WHOLE].encode("utf-8", "surrogatepass")
        if isinstance(self.body, bytes):
            return self.body
        body = copy.deepcopy(self.body)
        for place in (place for place in hostile if place[0] == "body"):
            _put(body, place[1:], hostile[place])
        return b"" if body is None else json.dumps(body).encode()

    def right(self, place: Place) -> str:
        """What is right in a place."""
        if place == WHOLE:
            return self.body.decode() if isinstance(self.body, bytes) else json.dumps(self.body)
        if place[0] == "body":
            value: Any = self.body
            for step in place[1:]:
                if step == "(name)":
                    return "name"
                value = value[step]
            return str(value)
        held = {"path": self.path, "query": self.query, "header": self.headers}
        return held[str(place[0])][str(place[1])]


def _ways(value: Any) -> Iterator[Place]:
    """The way to each value of a JSON object that has no values of its own, and to a further name in each object."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        if isinstance(item, dict | list):
            yield from ((key, *way) for way in _ways(item))
        else:
            yield (key,)
    if isinstance(value, dict):
        yield ("(name)",)


def _put(body: Any, way: Place, text: str) -> None:
    for step in way[:-1]:
        body = body[step]
    if way[-1] == "(name)":
        body[text] = "value"
    else:
        body[way[-1]] = text


def _of(job: str, **more: Any) -> Call:
    return Call(path={"id": job} | more.pop("path", {}), **more)


TOKEN = {"X-Elb-Token": callback_token(SECRET, RUNNING)}
CALLS: dict[str, Call] = {
    "page_shell": Call(path={"ignored": ""}, headers={"If-None-Match": '"x"'}),
    "page_assets": Call(path={"path": "icon.svg"}, headers={"If-None-Match": '"x"'}),
    "health_root": Call(),
    "health": Call(),
    "health_ready": Call(),
    "me": Call(headers={"Host": "localhost:7071", "X-MS-CLIENT-PRINCIPAL": "e30=", "Authorization": "Bearer x"}),
    "openapi": Call(),
    "docs": Call(),
    "stats": Call(query={"window": "15m"}),
    "blast_jobs_submit": Call(202, headers=KEY, body=SUBMIT),
    "blast_submit": Call(202, headers=KEY, body=SUBMIT),
    "blast_jobs_validate": Call(body=SUBMIT),
    "blast_jobs_list": Call(
        query={**LIST, "status": "running", "program": "blastn", "db": DB, "q": "run", "owner": "dev@localhost"}
    ),
    "blast_jobs_detail": _of(RUNNING),
    "blast_jobs_events": _of(DONE, query=LIST),
    "blast_jobs_logs": _of(RUNNING, query={"job": "", "tail": "10"}),
    "blast_jobs_results": _of(DONE),
    "blast_jobs_results_download": _of(
        DONE,
        status=206,
        path={"name": "results.tsv"},
        query={"range": "0-9"},
        headers={"Range": "bytes=0-9", "If-Range": '"x"', "If-None-Match": '"x"'},
    ),
    "blast_jobs_hits": _of(
        DONE, query={**LIST, "query": "q1", "sort": "-bit_score", "min_identity": "", "max_evalue": ""}
    ),
    "blast_jobs_cancel": _of(RUNNING, status=202, body={"reason": "too slow"}),
    "blast_jobs_retry": _of(FAILED, status=202),
    "blast_jobs_clone": _of(DONE, status=202, headers=KEY, body={"title": "again", "options": OPTIONS}),
    "blast_jobs_delete": _of(RUNNING, status=202),
    "blast_jobs_notify": _of(RUNNING, status=202, headers=TOKEN),
    "blast_queries": Call(201, query=UPLOADED, headers={"Content-Encoding": "identity"}, body=QUERY),
    "blast_queries_uploads": Call(201, query={"storage_account": "store"}, body={}),
    "blast_queries_uploads_commit": Call(path={"id": UPLOAD}, query=UPLOADED, body={}),
    "blast_databases": Call(query=CLUSTER),
    "blast_databases_shards": Call(202, path={"db": DB}, body={"shards": 2, **CLUSTER}),
    "warmup_start": Call(202, headers=KEY, body={"database": DB, "force": False, **CLUSTER}),
    "warmup_release": Call(202, body={"database": DB, "force": True, **CLUSTER}),
    "warmup_active": Call(query=CLUSTER),
    "warmup_status": Call(path={"instance_id": WARMUP}),
    "warmup_auto_preference": Call(query=CLUSTER),
    "warmup_auto_preference_save": Call(
        headers={"If-Match": "*"}, body={"add": [DB], "remove": ["other"], "enabled": True, **CLUSTER}
    ),
    "monitor_aks": Call(),
    "monitor_aks_nodes": Call(query=CLUSTER),
    "monitor_aks_warmup_status": Call(query={"database": DB, **CLUSTER}),
    "aks_start": Call(202, body={"auto_warm": {"databases": [DB], "enabled": True}, **CLUSTER}),
    "aks_stop": Call(202, body={"force": True, **CLUSTER}),
    "aks_openapi_deploy": Call(202, body=CLUSTER),
    "aks_operations": Call(path={"instance_id": OPERATION}),
}
"""Name of the function -> a request that it accepts."""


@dataclass(frozen=True)
class Route:
    """A route as the app registers it."""

    name: str
    method: str
    template: str
    handler: Callable[..., func.HttpResponse]
    durable: bool


@cache
def registered() -> dict[str, Route]:
    """Every HTTP function of the app, by its name."""
    found = {}
    for function in app_functions():
        trigger = function.get_trigger()
        if trigger.type != "httpTrigger":
            continue
        durable = any(binding.type == "durableClient" for binding in function.get_bindings())
        handler = function.get_user_function()
        name, method = function.get_function_name(), str(trigger.methods[0].value)
        handler = getattr(handler, "__wrapped__", handler) if durable else handler
        found[name] = Route(name, method, str(trigger.route), handler, durable)
    return found
