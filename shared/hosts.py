"""Names of hosts: whether one is this machine, and what is in a URL or a ``Host`` header."""

from __future__ import annotations

import re
from urllib.parse import urlparse

_LOOPBACK = re.compile(r"(localhost|127(\.[0-9]+){3}|\[?::1\]?)")
_PORT = re.compile(r":[0-9]{1,5}$")


def is_loopback(host: str) -> bool:
    """Whether a host name (without port) is this machine's loopback."""
    return _LOOPBACK.fullmatch(host.lower()) is not None


def without_port(host: str) -> str:
    """The host name of ``name`` or ``name:port``; anything else stays as it is and is no host name."""
    return _PORT.sub("", host)


def scheme_and_host(url: str) -> tuple[str, str]:
    """Of a URL; both empty where it is none."""
    try:
        parsed = urlparse(url)
    except ValueError:  # brackets that hold no IPv6 address
        return "", ""
    return parsed.scheme, parsed.hostname or ""
