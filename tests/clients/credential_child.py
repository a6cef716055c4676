"""A process that goes the whole way to a cluster, and fails wherever it is told to; for ``test_credential_traces``.

``python -m tests.clients.credential_child all`` fails once at each call of the way, then prints what it saw as JSON;
``once`` goes it one time. Everything is logged, at the finest level, with the traceback of every failure.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
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


def walk(fail_at: int = 0) -> int:
    """Go the way, with a failure at the n-th call; how many calls it was."""
    calls = 0

    def count(frame: FrameType, event: str, _: Any) -> None:
        nonlocal calls
        if event == "call" and on_the_way(frame.f_code.co_filename):
            calls += 1
            if calls == fail_at:
                raise InjectedError

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


def main(what: str) -> None:
    """Do it."""
    logging.basicConfig(level=logging.DEBUG)
    way()  # imports everything
    if what == "once":
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
