"""Addresses: of the API, of things in it, and whether a secret may travel there."""

from __future__ import annotations

import ipaddress
from urllib.parse import quote

import httpx

from elb.errors import UsageError

DEFAULT_API = "http://127.0.0.1:7071"


def api_address(given: str) -> str:
    """The address of ``/api``, without a slash at the end.

    Args:
        given: the app's address; ``/api`` at its end may be left out.

    Raises:
        UsageError: ``invalid_api``.
    """
    try:
        url = httpx.URL(given.strip())
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host or url.userinfo:
        raise UsageError("invalid_api", f"{given!r} is not the address of an API", f"give one such as {DEFAULT_API}")
    return str(url.copy_with(path=url.path.rstrip("/").removesuffix("/api") + "/api", query=None, fragment=None))


def part(value: str) -> str:
    """A value as one part of a path, whatever is in it.

    Raises:
        UsageError: ``invalid_name``; nothing, and what servers take for another folder, names nothing.
    """
    if value in ("", ".", ".."):
        raise UsageError("invalid_name", f"{value!r} names nothing", "give the id or the name that the API shows")
    return quote(value, safe="")


def is_private(address: str) -> bool:
    """Whether nobody on the way can read what is sent there: TLS, or this machine."""
    url = httpx.URL(address)
    if url.scheme == "https" or url.host == "localhost":
        return True
    try:
        return ipaddress.ip_address(url.host).is_loopback
    except ValueError:
        return False
