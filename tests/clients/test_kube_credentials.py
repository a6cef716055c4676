"""What a kubeconfig says, and what is wrong with one."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import yaml

from shared.clients.kube_credentials import KubeAccess, read_kubeconfig
from shared.domain.errors import PermanentError

CA = base64.b64encode(b"-----BEGIN CERTIFICATE-----").decode()


def a_config(cluster: Any = None, user: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "clusters": [{"name": "other", "cluster": {}}, {"name": "c", "cluster": cluster or {"server": "https://api"}}],
        "users": [{"name": "u", "user": user if user is not None else {"token": "secret-token"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
        **more,
    }


@pytest.mark.parametrize(
    ("config", "access"),
    [
        (a_config(), KubeAccess("https://api", "", "secret-token")),
        (a_config(cluster={"server": "https://api:443/"}), KubeAccess("https://api:443", "", "secret-token")),
        (
            a_config(cluster={"server": "https://api", "certificate-authority-data": CA}),
            KubeAccess("https://api", "-----BEGIN CERTIFICATE-----", "secret-token"),
        ),
        (a_config(user={"exec": {"command": "kubelogin"}}), KubeAccess("https://api", "", "")),
        (a_config(user={"token": None}), KubeAccess("https://api", "", "")),
    ],
    ids=["plain", "slash", "authority", "no token: the credential is asked", "empty token"],
)
def test_what_it_says(config: dict[str, Any], access: KubeAccess) -> None:
    text = yaml.safe_dump(config)
    assert read_kubeconfig(text) == read_kubeconfig(text.encode()) == access


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: [",
        "just text",
        b"\xff\xfe\xfa",
        "\tsecret-token: secret-token",
        "!!python/object/apply:os.getcwd []",
        yaml.safe_dump({}),
        yaml.safe_dump(a_config(**{"current-context": "secret-token"})),
        yaml.safe_dump(a_config(**{"contexts": None})),
        yaml.safe_dump(a_config(**{"users": [{"name": "u", "user": None}]})),
        yaml.safe_dump(a_config(**{"users": []})),
        yaml.safe_dump(a_config(cluster={"certificate-authority-data": CA})),
        yaml.safe_dump(a_config(cluster={"server": 1})),
        yaml.safe_dump(a_config(cluster={"server": "https://api", "certificate-authority-data": "secret-token?"})),
        yaml.safe_dump(a_config(cluster={"server": "https://api", "certificate-authority-data": "/////w=="})),
    ],
)
def test_what_cannot_be_read(text: str | bytes) -> None:
    with pytest.raises(PermanentError) as caught:
        read_kubeconfig(text)
    assert caught.value.code == "bad_kubeconfig"
    assert "secret-token" not in str(caught.value)
