"""Where webhooks may go: the form of their URLs, and addresses that nobody may reach through the product.

A name says nothing about where it leads, and may lead elsewhere a moment later (DNS rebinding). So the form is judged
when a search is submitted, and the address when it is connected to: ``shared.clients.webhook_sender`` asks
``refused_because`` about each address that it found, and connects to no other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from shared.domain.errors import InvalidInputError

MAX_URL = 2048
"""Characters of a webhook's URL."""
FIELD = "webhook_url"
_DEFAULT_PORTS: Mapping[str, int] = {"https": 443, "http": 80}
_LEAST_PORT = 1024
"""Below it only HTTPS' own port is taken: mail, remote shells and the like listen there."""
_CHARACTERS = r"[A-Za-z0-9._~!$&'()*+,;=:@/%-]"
_URL = re.compile(
    rf"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:(?P<port>[0-9]{{1,5}}))?"
    rf"(?P<path>/{_CHARACTERS}*)?(?P<query>\?({_CHARACTERS}|\?)*)?",
    re.IGNORECASE | re.ASCII,
)
"""An absolute URL of RFC 3986 without user information and without a fragment."""
_ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:[0-9]{1,5})?(?=[/?]|$)", re.IGNORECASE | re.ASCII)
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
"""The last part of a host that a resolver takes for an address: ``127.1``, ``0x7f000001``, ``2130706433``."""

_REFUSED: Mapping[str, str] = {
    "0.0.0.0/8": "this network",
    "10.0.0.0/8": "a private network",
    "100.64.0.0/10": "a provider's shared network",
    "127.0.0.0/8": "loopback",
    "168.63.129.16/32": "Azure's platform",
    "169.254.0.0/16": "link-local, where metadata services are",
    "172.16.0.0/12": "a private network",
    "192.0.0.0/24": "a special-purpose network",
    "192.0.2.0/24": "a network for documents",
    "192.88.99.0/24": "a 6to4 relay",
    "192.168.0.0/16": "a private network",
    "198.18.0.0/15": "a network for benchmarks",
    "198.51.100.0/24": "a network for documents",
    "203.0.113.0/24": "a network for documents",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved",
    "2001::/23": "a special-purpose network",
    "2001:db8::/32": "a network for documents",
    "2002::/16": "6to4, which hides another address",
    "3fff::/20": "a network for documents",
}
"""IANA's special-purpose address registries for IPv4 and IPv6 (RFC 6890), multicast (RFC 5771), and the virtual address
that is Azure's in every network ("What is IP address 168.63.129.16?")."""
_REFUSED_NETWORKS = tuple((ip_network(network), kind) for network, kind in _REFUSED.items())
_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All that is given to anybody of IPv6 (RFC 4291, 2.4). Outside are loopback, private (fc00::/7) and link-local
addresses, multicast, and those that hide an IPv4 address: mapped (::ffff:0:0/96) and translated (64:ff9b::/96)."""

type Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class AllowedReceivers:
    """What the operator allows although it would be refused: host names, and networks."""

    names: frozenset[str] = frozenset()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    def has_name(self, host: str) -> bool:
        """Whether a host is allowed, wherever its name leads."""
        return host in self.names

    def has_address(self, address: Address) -> bool:
        """Whether an address is allowed, whatever leads to it."""
        return any(address in network for network in self.networks)


NOBODY = AllowedReceivers()


@dataclass(frozen=True, slots=True)
class WebhookUrl:
    """A URL in its parts, as it is connected to.

    Attributes:
        host: lower case; an IPv6 address without brackets.
        target: path and query, as the request line has them.
    """

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """The value of the request's ``Host``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def address(self) -> Address | None:
        """The address where the host is one, None for a name."""
        try:
            return ip_address(self.host)
        except ValueError:  # a name
            return None


def read_allowed(text: str) -> AllowedReceivers:
    """Read a list of networks, addresses and host names with commas between them.

    Raises:
        ValueError: an entry is neither; the message is the entry.
    """
    names, networks = set(), []
    for entry in filter(None, (part.strip().lower() for part in text.split(","))):
        try:
            networks.append(ip_network(entry, strict=False))
        except ValueError:
            if not _is_name(entry):
                raise ValueError(entry) from None
            names.add(entry)
    return AllowedReceivers(frozenset(names), tuple(networks))


def parse_webhook_url(text: str, allowed: AllowedReceivers = NOBODY) -> WebhookUrl:
    """Take a URL apart that may be sent to, as far as its form can tell.

    Raises:
        InvalidInputError: ``invalid_webhook_url``. The message never has the URL, which may hold a secret.
    """
    found = _URL.fullmatch(text) if len(text) <= MAX_URL else None
    if found is None:
        raise _wrong(
            f"it is not an absolute http(s) URL of at most {MAX_URL} characters",
            "send https://host/path?query, percent-encoded, without user name, password and fragment",
        )
    scheme, host = found["scheme"].lower(), found["host"].lower().strip("[]")
    port = int(found["port"] or _DEFAULT_PORTS[scheme])
    url = WebhookUrl(scheme, host, port, (found["path"] or "/") + (found["query"] or ""))
    if url.address is None and (_NUMBER.fullmatch(host.rpartition(".")[2]) or not _is_name(host)):
        raise _wrong(f"{host[:100]!r} is neither a host name nor an address in its usual form", "name the host")
    if not 0 < port <= 65_535:
        raise _wrong(f"there is no port {port}", "use 443, or leave it out")
    if allowed.has_name(host) or (url.address is not None and allowed.has_address(url.address)):
        return url
    _check_public(url)
    return url


def _check_public(url: WebhookUrl) -> None:
    """Refuse what only an allowed receiver may have. Raises InvalidInputError."""
    if url.address is None and "." not in url.host:
        raise _wrong(f"{url.host!r} is a name of this network only", "give the host's full name")
    if url.address is not None and (kind := refused_because(url.host)):
        raise _wrong(f"{url.host} is not a public address: {kind}", "name a host that everybody can reach")
    if url.scheme != "https":
        raise _wrong("it does not begin with https://", "receive webhooks by HTTPS")
    if url.port != _DEFAULT_PORTS["https"] and url.port < _LEAST_PORT:
        raise _wrong(f"port {url.port} is not for webhooks", f"use 443, or one from {_LEAST_PORT} on")


def _wrong(message: str, hint: str) -> InvalidInputError:
    return InvalidInputError("invalid_webhook_url", f"webhook_url: {message}", hint, field=FIELD)


def _is_name(host: str) -> bool:
    return len(host) <= 253 and all(_LABEL.fullmatch(label) for label in host.split("."))


def refused_because(address: str, allowed: AllowedReceivers = NOBODY) -> str:
    """Why an address must not be connected to; empty for one that may be.

    Args:
        address: as a resolver gives it; one of IPv6 may have a zone.
    """
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return "not an address"
    if allowed.has_address(found):
        return ""
    for network, kind in _REFUSED_NETWORKS:
        if found in network:
            return kind
    if found.version == 6 and found not in _GLOBAL_UNICAST:
        return "not a global address"
    return ""


def masked(text: str) -> str:
    """A URL as people are shown it: where it leads, without path and query, in which receivers put their secrets."""
    found = _ORIGIN.match(text)
    return f"{found[0]}/..." if found else "..."


def host_of(text: str) -> str:
    """The host of a URL, to tell receivers apart; empty where there is none."""
    found = _URL.fullmatch(text)
    return found["host"].lower() if found else ""
