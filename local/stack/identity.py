"""The names, keys and tokens of one stack. Made once per folder and kept: what was signed yesterday is valid today."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
from dataclasses import asdict, dataclass, fields

from local.stack.files import write_atomically
from local.stack.home import Home

STORAGE_ACCOUNT = "elblocal"
REGISTRY = "elblocal"
SUBSCRIPTION = "00000000-0000-4000-8000-000000000001"
RESOURCE_GROUP = "elb-local"
CLUSTER = "elb-local"
REGION = "local"
NAMESPACE = "default"


@dataclass(frozen=True, slots=True)
class Identity:
    """What is secret, and different in every stack.

    Args:
        marker: found in the environment of each of the stack's processes.
        storage_key: account key of the storage emulator, base64.
        arm_token: bearer token that the ARM emulator accepts.
        cluster_token: bearer token that the cluster emulator accepts.
        callback_secret: signs the tokens with which finishing Jobs call back.
    """

    marker: str
    storage_key: str
    arm_token: str
    cluster_token: str
    callback_secret: str

    @property
    def webhook_secret(self) -> str:
        """Signs webhooks; receivers have it too, so that it must not be the one that it is made from."""
        return hmac.digest(self.callback_secret.encode(), b"webhooks", "sha256").hex()

    @classmethod
    def of(cls, home: Home) -> Identity:
        """Read the folder's identity, or make it."""
        if home.identity.exists():
            kept = json.loads(home.identity.read_text())
            return cls(**{field.name: kept[field.name] for field in fields(cls)})
        made = cls(
            marker=secrets.token_hex(8),
            storage_key=base64.b64encode(secrets.token_bytes(64)).decode(),
            arm_token=secrets.token_urlsafe(24),
            cluster_token=secrets.token_urlsafe(24),
            callback_secret=secrets.token_urlsafe(32),
        )
        write_atomically(home.identity, json.dumps(asdict(made), indent=2) + "\n")
        return made


def connection_string(identity: Identity, blob: int, queue: int, table: int) -> str:
    """How a client reaches the storage emulator.

    Args:
        identity: has the account key.
        blob: port of the blob service; `queue` and `table` likewise.
    """
    at = "http://127.0.0.1:{}/" + STORAGE_ACCOUNT
    parts = {
        "DefaultEndpointsProtocol": "http",
        "AccountName": STORAGE_ACCOUNT,
        "AccountKey": identity.storage_key,
        "BlobEndpoint": at.format(blob),
        "QueueEndpoint": at.format(queue),
        "TableEndpoint": at.format(table),
    }
    return ";".join(f"{name}={value}" for name, value in parts.items()) + ";"
