"""The app's bearer tokens through a host: what reaches the app of a request's headers, and a start that is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from local.host.harness import HostNotReadyError, HostProcess
from tests.activities.route_table import ROUTES, Access, principal
from tests.unit.key_server import AUDIENCE, OWNER, TENANT, KeyServer, key_server, token

REPOSITORY = Path(__file__).resolve().parents[2]
NOWHERE = "http://127.0.0.1:1/{account}"
SETTINGS = {
    "FUNCTIONS_WORKER_RUNTIME": "python",
    "ELB_TASK_HUB": "identity",
    "ELB_DEFAULT_STORAGE_ACCOUNT": "store",
    "ELB_CALLBACK_SECRET": "secret",
    "ELB_STATE_TABLE_ENDPOINT": NOWHERE,
    "ELB_BLOB_ENDPOINT": NOWHERE,
    "AUTH_MODE": "jwt",
    "AUTH_TENANT_ID": TENANT,
    "AUTH_AUDIENCE": AUDIENCE,
}


@pytest.fixture(scope="module")
def server() -> Iterator[KeyServer]:
    """The tenant's keys."""
    with key_server("k1") as made:
        yield made


@pytest.fixture(scope="module")
def app(server: KeyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The app in a host, without any storage: what needs one comes after the question who it is."""
    state = tmp_path_factory.mktemp("identity") / "state.db"
    with (
        HostProcess(REPOSITORY, state, SETTINGS | {"AUTH_KEYS_URL": server.url}) as host,
        httpx.Client(base_url=host.base_url, timeout=30) as client,
    ):
        yield client


def bearer(text: str) -> dict[str, str]:
    """The header."""
    return {"Authorization": f"Bearer {text}"}


class TestRequests:
    def test_a_token_names_its_owner(self, app: httpx.Client) -> None:
        answer = app.get("/api/me", headers=bearer(token(roles=["operator"])))
        assert answer.json() == {"owner": OWNER, "name": "ada@example.org", "roles": ["operator", "user"]}

    def test_a_user_is_no_operator(self, app: httpx.Client) -> None:
        answer = app.post("/api/aks/stop", headers=bearer(token()), json={})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "role_missing")

    @pytest.mark.parametrize(
        "headers",
        [
            [],
            [("Authorization", "Bearer x")],
            [("Authorization", f"Bearer {token()}")] * 2,
            [("Authorization", f"Bearer {token()}"), ("authorization", "Bearer x")],
            [("Authorization", f"Bearer {token(exp=1)}")],
            [("X-Authorization", f"Bearer {token()}")],
            [("Cookie", f"Authorization=Bearer {token()}")],
            [*principal(OWNER, "operator").items()],
            [("X-MS-TOKEN-AAD-ACCESS-TOKEN", token())],
        ],
        ids=[
            "none",
            "garbage",
            "twice",
            "twice, other case",
            "expired",
            "another header",
            "cookie",
            "principal",
            "store",
        ],
    )
    def test_anything_else_names_nobody(self, app: httpx.Client, headers: list[tuple[str, str]]) -> None:
        answer = app.get("/api/me", headers=headers)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")

    @pytest.mark.proves("Q1")
    def test_nobody_gets_in_by_any_route(self, app: httpx.Client, server: KeyServer) -> None:
        found = {
            route: app.request(route[0], "/" + route[1].replace("{", "").replace("}", "")).status_code
            for route in ROUTES
        }
        wanted = {route: {Access.ANYBODY: 200, Access.TOKEN: 403}.get(access, 401) for route, access in ROUTES.items()}
        assert found == wanted


@pytest.mark.parametrize("name", ["AUTH_TENANT_ID", "AUTH_AUDIENCE"])
def test_an_app_that_is_not_told_whose_tokens_does_not_start(tmp_path: Path, name: str) -> None:
    with pytest.raises(HostNotReadyError, match=f"(?s)exit code 3.*setting {name} is ''"):
        HostProcess(REPOSITORY, tmp_path / "state.db", SETTINGS | {name: ""}).start()
