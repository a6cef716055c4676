"""A process that goes the whole way to a cluster, and fails wherever it is told to; for ``test_credential_traces``.

``python -m tests.clients.credential_child all`` fails once at each call of the way, then prints what it saw as JSON;
``killed`` does so with a process of its own for each call, which SIGKILL ends there; ``once`` goes it one time.
Everything is logged, at the finest level, with the traceback of every failure.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import sys
from collections.abc import Callable
from functools import lru_cache
from types import FrameType
from typing import Any

from shared.clients.provider import AzureClients
from shared.config import read_settings
from shared.domain.errors import ElbError

_ON_THE_WAY = re.compile(r"/(shared/clients|kubernetes/client|azure/core/pipeline)/|/(ssl|ssl_|tempfile)\.py")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@lru_cache(maxsize=1000)
def on_the_way(file: str) -> bool:
    """Whether calls into a file are counted."""
    return _ON_THE_WAY.search(file) is not None


class InjectedError(Exception):
    """What goes wrong."""


def way() -> None:
    """ARM's word, the kubeconfig, a LIST."""
    clients = AzureClients(read_settings(os.environ))
    cluster = clients.settings.cluster
    assert cluster is not None
    clients.arm.cluster(cluster, patient=False)
    clients.kube(cluster, patient=False).nodes()


def fail() -> None:
    """End the way by an exception."""
    raise InjectedError


def end() -> None:
    """End the process as it stands."""
    os.kill(os.getpid(), signal.SIGKILL)


def walk(fail_at: int = 0, how: Callable[[], None] = fail) -> int:
    """Go the way, with a failure at the n-th call; how many calls it was."""
    calls = 0

    def count(frame: FrameType, event: str, _: Any) -> None:
        nonlocal calls
        if event == "call" and on_the_way(frame.f_code.co_filename):
            calls += 1
            if calls == fail_at:
                how()

    sys.setprofile(count)
    try:
        way()
    except (InjectedError, ElbError):
        sys.setprofile(None)
        logging.exception("failed at call %d", fail_at)
    except Exception:  # what a library makes of it
        sys.setprofile(None)
        logging.exception("failed at call %d, as something else", fail_at)
    finally:
        sys.setprofile(None)
    return calls


def walk_and_end(at: int) -> int:
    """Go the way in a process of its own that is killed at the n-th call; its exit code."""
    child = os.fork()
    if child == 0:
        walk(at, end)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(what: str) -> None:
    """Do it."""
    logging.basicConfig(level=logging.DEBUG)
    way()  # imports everything
    if what == "once":
        return
    if what == "killed":
        print(json.dumps([walk_and_end(number) for number in range(1, walk() + 1)]))
        return
    written: set[str] = set()

    def watch(event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(args[2], int) and args[2] & _WRITING:
            written.add(str(args[0]))

    sys.addaudithook(watch)
    calls = walk()
    reached = [walk(number) for number in range(1, calls + 1)]
    print(json.dumps({"calls": calls, "reached": reached, "written": sorted(written)}))


if __name__ == "__main__":
    main(sys.argv[1])
