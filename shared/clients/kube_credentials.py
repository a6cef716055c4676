"""From a kubeconfig to a connection, without a file: no key and no certificate ever touches the disk."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.domain.errors import PermanentError

AKS_SERVER_APP = "6dae42f8-4368-4678-94ff-3960e28e3630/.default"
"""Scope of tokens for AKS API servers with Entra ID (Microsoft Learn, "Use kubelogin to authenticate in AKS")."""


@dataclass(frozen=True, slots=True)
class KubeAccess:
    """How to reach an API server.

    Attributes:
        server: its URL.
        ca: its certificate authority, PEM; empty for http and for public authorities.
        token: a fixed bearer token; empty when one must be asked of the credential.
    """

    server: str
    ca: str
    token: str


def read_kubeconfig(text: bytes | str) -> KubeAccess:
    """Read a kubeconfig's current context.

    Raises:
        PermanentError: ``bad_kubeconfig``.
    """
    import yaml

    try:
        config = yaml.safe_load(text)
        context = _named(config["contexts"], config["current-context"])["context"]
        cluster = _named(config["clusters"], context["cluster"])["cluster"]
        user = _named(config["users"], context["user"])["user"]
        ca = b64decode(cluster.get("certificate-authority-data") or b"").decode()
        return KubeAccess(cluster["server"].rstrip("/"), ca, user.get("token") or "")
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
        raise PermanentError(
            "bad_kubeconfig",
            f"the cluster's kubeconfig cannot be read: {_what(error)}",
            "check ELB_KUBECONFIG or the cluster",
        ) from error


def _what(error: Exception) -> str:
    """What is wrong, without the text that is wrong: it may hold a token."""
    return f"no {error}" if isinstance(error, KeyError) else type(error).__name__


def _named(items: list[Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    return next(item for item in items if item["name"] == name)
