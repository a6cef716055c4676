"""What must not happen while a request is served: seen from outside the code that serves it.

Programs, sockets and files that are opened for writing are seen by an audit hook; names of blobs, of Kubernetes objects
and of clusters by proxies in front of the fakes; log lines by a handler; what was changed by a fingerprint.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any

from shared.domain.search import ClusterRef
from tests.activities.fakes import FakeArm, World

_FORBIDDEN = ("subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.spawn", "socket.connect")
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
_CONTAINER = re.compile(r"[a-z][a-z-]{2,62}")
_SEGMENT = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,200}")
_OBJECT = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_SELECTOR = re.compile(r"[A-Za-z0-9./-]+=[A-Za-z0-9._-]*|[A-Za-z0-9./-]+ in \([A-Za-z0-9._,-]+\)|[A-Za-z0-9./-]+")
_AZURE_NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._()-]{1,90}")
_COUNTS_OF_READS = frozenset({"reads", "asked", "calls", "mended", "times"})
_NO_STATE = {"settings", "clock", "rates", "wrong", "stats"}
_watching: list[tuple[list[str], frozenset[int]]] = []
"""What was seen, and the threads that were there before and are none of the request's."""


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    if event.startswith(_FORBIDDEN) or (writes and "__pycache__" not in str(arguments[0])):
        found, others = _watching[-1]
        if threading.get_ident() not in others:
            found.append(f"{event} {arguments!r:.200}")


sys.addaudithook(_audit)  # for good: a hook cannot be taken out, and does nothing while nobody watches


@contextmanager
def nothing_executed() -> Iterator[list[str]]:
    """Whatever this thread, or one that it begins, starts, connects to or writes meanwhile is in the list."""
    others = frozenset(thread.ident or 0 for thread in threading.enumerate()) - {threading.get_ident()}
    found: list[str] = []
    _watching.append((found, others))
    try:
        yield found
    finally:
        _watching.pop()


@dataclass
class Watched:
    """A fake behind a check of every text that it is called with; what does not pass is in ``wrong``."""

    inner: Any
    check: Callable[[str, tuple[Any, ...], dict[str, Any]], str | None]
    wrong: list[str]

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        if not callable(found):
            return found

        def call(*args: Any, **named: Any) -> Any:
            problem = self.check(name, args, named)
            if problem:
                self.wrong.append(f"{name}: {problem!r:.200}")
            return found(*args, **named)

        return call


def _blob_problem(verb: str, args: tuple[Any, ...], named: dict[str, Any]) -> str | None:
    container, name = str(args[0]), args[1] if len(args) > 1 else named.get("name", named.get("prefix", ""))
    if not _CONTAINER.fullmatch(container):
        return container
    for each in [name] if isinstance(name, str) else list(name):
        parts = each.rstrip("/").split("/") if each else []
        if not all(_SEGMENT.fullmatch(part) for part in parts):
            return str(each)
    return None


def _kube_problem(verb: str, args: tuple[Any, ...], named: dict[str, Any]) -> str | None:
    texts = [value for value in (*args, *named.values()) if isinstance(value, str)]
    if verb in ("jobs", "pods", "listed"):
        selector = texts[-1]
        terms = re.split(r",(?![^(]*\))", selector) if selector else []
        return next((term for term in terms if not _SELECTOR.fullmatch(term)), None)
    return next((text for text in texts if not _OBJECT.fullmatch(text)), None)


@dataclass
class WatchedArm(FakeArm):
    """ARM that notes clusters whose names would lead to another path of it."""

    wrong: list[str] = field(default_factory=list)

    def cluster(self, cluster: ClusterRef, *, patient: bool = True) -> dict[str, Any]:
        check_cluster(cluster, self.wrong)
        return super().cluster(cluster, patient=patient)


def check_cluster(cluster: ClusterRef, wrong: list[str]) -> None:
    """Note what of a cluster is not a name of Azure's."""
    names = (cluster.subscription_id, cluster.resource_group, cluster.cluster_name)
    wrong.extend(f"cluster {name!r:.200}" for name in names if not _AZURE_NAME.fullmatch(name))


@dataclass
class FuzzWorld(World):
    """A world whose blobs, clusters and ARM are watched."""

    arm: WatchedArm = field(default_factory=WatchedArm)
    wrong: list[str] = field(default_factory=list)

    def blobs(self, account: str) -> Any:
        if not _ACCOUNT.fullmatch(account):
            self.wrong.append(f"storage account {account!r:.200}")
        return Watched(self.store, _blob_problem, self.wrong)

    def kube(self, cluster: ClusterRef, *, patient: bool = True) -> Any:
        check_cluster(cluster, self.wrong)
        return Watched(self.cluster, _kube_problem, self.wrong)

    def problems(self) -> list[str]:
        """What was noted until now."""
        for cluster in self.clusters.known():
            check_cluster(cluster, self.wrong)
        return self.wrong + self.arm.wrong


def fingerprint(world: World) -> tuple[Any, ...]:
    """What a request that is refused must leave as it was: rows, blobs, events, preferences, objects, started work."""
    parts: list[tuple[Any, ...]] = []
    for each in sorted({part.name for part in fields(world)} - _NO_STATE):
        for name, value in sorted(vars(getattr(world, each)).items()):
            if name in _COUNTS_OF_READS or name.startswith("_"):
                continue
            if isinstance(value, dict):
                parts.append((each, name, tuple((key, _size(item)) for key, item in value.items())))
            elif isinstance(value, list | set):
                parts.append((each, name, len(value)))
            elif isinstance(value, int | str | None):
                parts.append((each, name, value))
    return tuple(parts)


def _size(value: Any) -> Any:
    return getattr(value, "etag", None) or (len(value) if isinstance(value, list | dict | set | bytes) else str(value))


class Lines(logging.Handler):
    """Every line that was logged, and what is wrong with it as one JSON object on one line."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        super().__init__()
        self.secrets, self.wrong = secrets, list[str]()
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        self.count += 1
        if not line.isascii() or not line.isprintable():
            self.wrong.append(f"not one printable line: {line!r:.300}")
        if any(secret in line for secret in self.secrets):
            self.wrong.append(f"a secret: {line!r:.300}")
        if record.name == "elb":
            try:
                event = json.loads(line)
            except ValueError:
                self.wrong.append(f"not JSON: {line!r:.300}")
                return
            if not re.fullmatch(r"[a-z_]+", str(event.get("event"))):
                self.wrong.append(f"not an event: {line!r:.300}")


@contextmanager
def logged(*secrets: str) -> Iterator[Lines]:
    """The lines that are logged meanwhile."""
    lines, root = Lines(secrets), logging.getLogger()
    level = logging.getLogger("elb").level
    root.addHandler(lines)
    logging.getLogger("elb").setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        root.removeHandler(lines)
        logging.getLogger("elb").setLevel(level)
