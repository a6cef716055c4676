"""An API server in memory: objects by kind and name, label selectors, conflicts, and errors on demand."""

from __future__ import annotations

import copy
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.domain.errors import ConflictError, ElbError, NotFoundError

Json = dict[str, Any]


def selects(selector: str, labels: Mapping[str, str]) -> bool:
    """Whether a label selector of the forms ``a=b``, ``a in (b,c)`` and ``x,y`` matches."""
    for term in re.split(r",(?![^(]*\))", selector):
        name, found, wanted = term.partition(" in ")
        if found:
            if labels.get(name) not in wanted.strip("()").split(","):
                return False
            continue
        name, _, value = term.partition("=")
        if labels.get(name) != value:
            return False
    return True


@dataclass
class FakeKube:
    """One cluster.

    Attributes:
        errors: what a call raises, by ``(verb, name of object or kind)``; a count of calls may go with it.
        calls: how often which ``verb kind`` was called.
        deleted: names, in order.
        on_create: runs inside every creation, outside of any lock.
        before_list: runs inside every LIST of Jobs or pods, outside of any lock.
        clock: the API server's, where a test is about it.
    """

    objects: dict[str, dict[str, Json]] = field(
        default_factory=lambda: {
            kind: {} for kind in ("jobs", "pods", "configmaps", "daemonsets", "nodes", "nodemetrics")
        }
    )
    logs: dict[str, str] = field(default_factory=dict)
    errors: dict[tuple[str, str], ElbError] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    deleted: list[str] = field(default_factory=list)
    on_create: Callable[[str], object] | None = None
    before_list: Callable[[], object] | None = None
    meanwhile: Callable[[], object] | None = None
    clock: Callable[[], datetime] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def jobs(self, selector: str) -> list[Json]:
        return self._list("jobs", selector)

    def pods(self, selector: str) -> list[Json]:
        return self._list("pods", selector)

    def listed[T](self, kind: str, selector: str, read: Callable[[Json], T]) -> list[T]:
        return [read(item) for item in self._list(kind, selector)]

    def nodes(self) -> list[Json]:
        self._call("list", "nodes")
        return copy.deepcopy(list(self.objects["nodes"].values()))

    def get(self, kind: str, name: str) -> Json:
        self._call("get", kind, name)
        if name not in self.objects[kind]:
            raise NotFoundError("kube_not_found", f"{kind} {name}: not found")
        return copy.deepcopy(self.objects[kind][name])

    def create(self, kind: str, manifest: Mapping[str, Any]) -> Json:
        name = manifest["metadata"]["name"]
        if self.on_create is not None:
            self.on_create(name)
        if self.meanwhile is not None:
            interfere, self.meanwhile = self.meanwhile, None
            interfere()
        self._call("create", kind, name)
        with self._lock:
            if name in self.objects[kind]:
                raise ConflictError("already_exists", f"{kind} {name}: already exists")
            self.objects[kind][name] = copy.deepcopy(dict(manifest))
        return dict(manifest)

    def replace(self, kind: str, manifest: Mapping[str, Any]) -> Json:
        name = manifest["metadata"]["name"]
        self.get(kind, name)
        self._call("replace", kind, name)
        self.objects[kind][name] = copy.deepcopy(dict(manifest))
        return dict(manifest)

    def delete(self, kind: str, name: str, uid: str = "") -> None:
        self._call("delete", kind, name)
        with self._lock:
            if uid and self.objects[kind].get(name, {}).get("metadata", {}).get("uid") != uid:
                return
            self.deleted.append(name)
            self.objects[kind].pop(name, None)

    def log_tail(self, pod: str, lines: int, limit_bytes: int, container: str = "") -> str:
        """Of ``logs`` under ``pod``, or ``pod/container``; the API server chooses no container of several."""
        self._call("log", "pods", pod)
        spec = (self.objects["pods"].get(pod) or {}).get("spec") or {}
        names = [each["name"] for each in spec.get("containers") or ()]
        if not container and len(names) > 1:
            return ""
        tail = self.logs.get(f"{pod}/{container}", self.logs.get(pod, "")).splitlines(keepends=True)[-lines:]
        return "".join(tail)[-limit_bytes:]

    def server_time(self) -> datetime | None:
        return self.clock() if self.clock is not None else None

    # -- for tests

    def put(self, kind: str, obj: Json) -> Json:
        """Have an object, whatever was there."""
        self.objects[kind][obj["metadata"]["name"]] = obj
        return obj

    def names(self, kind: str) -> list[str]:
        """Names of all objects of a kind."""
        return sorted(self.objects[kind])

    def fail(self, verb: str, what: str, error: ElbError) -> None:
        """From now on this call, of a kind or of an object by its name, raises."""
        self.errors[verb, what] = error

    def _list(self, kind: str, selector: str) -> list[Json]:
        self._call("list", kind)
        if self.before_list is not None:
            self.before_list()
        assert selector or kind == "nodemetrics", "nothing is ever listed without a selector"
        everything = self.objects[kind].values()
        found = [o for o in everything if not selector or selects(selector, o["metadata"].get("labels") or {})]
        return copy.deepcopy(found)

    def _call(self, verb: str, kind: str, name: str = "") -> None:
        with self._lock:
            self.calls[f"{verb} {kind}"] += 1
        error = self.errors.get((verb, name)) or self.errors.get((verb, kind))
        if error is not None:
            raise error
