"""Finding ports. Used by the supervisor when it starts a component for the first time; a restart keeps its ports."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable, Mapping

HOST = "127.0.0.1"


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback interface now."""
    with socket.socket() as probe:
        # As servers do: a port that is only in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def is_listening(port: int) -> bool:
    """Whether something accepts connections on this port of the loopback interface."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def pick(names: Iterable[str], usual: Mapping[str, int], taken: Iterable[int] = ()) -> dict[str, int]:
    """A port for each name: the usual one when it is free, else any free one.

    Args:
        names: what the ports are for.
        usual: the usual port of a name; a name without one gets any free port.
        taken: ports not to give, though they look free.
    """
    avoid, picked = set(taken), {}
    with contextlib.ExitStack() as held:
        for name in names:
            wish = usual.get(name)
            if wish is not None and wish not in avoid and is_free(wish):
                picked[name] = wish
                continue
            while True:
                # Held until all are picked, so that no two names get the same one.
                probe = held.enter_context(socket.socket())
                probe.bind((HOST, 0))
                port: int = probe.getsockname()[1]
                if port not in avoid:
                    picked[name] = port
                    break
    return picked
