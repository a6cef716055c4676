"""Whether a request was meant for this machine: asked by everything that here does more than the product's own API.

Listening on 127.0.0.1 is not enough. A web page may reach that through a name of its own that resolves to 127.0.0.1;
its browser then says that name in `Host`, and where the page is from in `Origin`.
"""

from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def is_local(request: web.Request) -> bool:
    """Whether the caller is on this machine and `Host`, and `Origin` if there is one, name it by a loopback name."""
    names = [urlsplit(f"//{request.host}").hostname]
    if "Origin" in request.headers:
        names.append(urlsplit(request.headers["Origin"]).hostname)
    return all(name in _LOOPBACK for name in names) and request.remote in _LOOPBACK
