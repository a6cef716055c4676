"""A tenant for tests: RSA keys, tokens signed with them, and a server on loopback that gives the public keys."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import RSAAlgorithm

TENANT = "8f9d1c9e-0000-4000-8000-00000000000a"
ISSUER = f"https://login.microsoftonline.com/{TENANT}/v2.0"
AUDIENCE = "api://elb"
OWNER = "00000000-0000-4000-8000-0000000000aa"
Json = dict[str, Any]


@cache
def private_key(name: str) -> RSAPrivateKey:
    """A key by its name, made once; of 1024 bits where that is ``small``."""
    return generate_private_key(65537, 1024 if name == "small" else 2048)


def public_row(name: str, **fields: Any) -> Json:
    """A key as a key set has it: as Entra writes it, unless ``fields`` say otherwise."""
    row: Json = json.loads(RSAAlgorithm.to_jwk(private_key(name).public_key()))
    return {"kty": "RSA", "use": "sig", "kid": name, "n": row["n"], "e": row["e"]} | fields


def key_set(*names: str) -> bytes:
    """A key set."""
    return json.dumps({"keys": [public_row(name) for name in names]}).encode()


def claims(**fields: Any) -> Json:
    """What a token of version 2.0 says of a person whose client has the app's scope; None leaves a claim out."""
    now = int(time.time())
    usual: Json = {
        "aud": AUDIENCE,
        "iss": ISSUER,
        "iat": now,
        "nbf": now,
        "exp": now + 3600,
        "oid": OWNER,
        "tid": TENANT,
        "sub": "pairwise",
        "preferred_username": "ada@example.org",
        "scp": "Searches.Run",
        "ver": "2.0",
    }
    return {name: value for name, value in (usual | fields).items() if value is not None}


def token(key: str = "k1", header: Json | None = None, **fields: Any) -> str:
    """A token signed with a key that the header names."""
    return jwt.encode(claims(**fields), private_key(key), "RS256", {"kid": key} | (header or {}))


def part(value: Any) -> str:
    """A part of a token by hand."""
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


@dataclass
class KeyServer:
    """What the server answers, and how often it was asked."""

    url: str
    content: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    asked: int = 0
    during: Callable[[BaseHTTPRequestHandler], object] | None = None
    """Called before the answer."""


@contextmanager
def key_server(*names: str, tls: ssl.SSLContext | None = None) -> Iterator[KeyServer]:
    """A server on loopback with these keys."""
    server = KeyServer("", key_set(*names))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked += 1
            if server.during is not None:
                server.during(self)
            self.send_response(server.status)
            for name, value in {"Content-Length": str(len(server.content)), **server.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(server.content)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        listener.socket = tls.wrap_socket(listener.socket, server_side=True)
    server.url = f"http{'s' if tls else ''}://127.0.0.1:{listener.server_port}/keys"
    thread = threading.Thread(target=listener.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()
