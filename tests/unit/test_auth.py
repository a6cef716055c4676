"""Who is asking: without an identity that the platform vouches for there is none."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from shared.auth import OBJECT_ID_CLAIM, Role, identify
from shared.config import Settings, read_settings
from shared.domain.errors import ForbiddenError, UnauthenticatedError

EASYAUTH = read_settings({"AUTH_MODE": "easyauth", "WEBSITE_AUTH_ENABLED": "True"})
DEV = read_settings({"AUTH_MODE": "dev", "ELB_DEV_USER": "ada@localhost"})
CLAIM = {"typ": OBJECT_ID_CLAIM, "val": "oid-1"}


def header(principal: Any) -> dict[str, str]:
    text = principal if isinstance(principal, bytes) else json.dumps(principal).encode()
    return {"X-MS-CLIENT-PRINCIPAL": base64.b64encode(text).decode()}


def claims(*pairs: tuple[str, Any], **fields: Any) -> dict[str, str]:
    found = [CLAIM, *({"typ": kind, "val": value} for kind, value in pairs)]
    return header({"auth_typ": "aad", "claims": found, **fields})


class TestEasyAuth:
    def test_the_object_id_is_the_owner(self) -> None:
        caller = identify(claims(("name", "Ada"), ("preferred_username", "ada@x")), EASYAUTH)
        assert (caller.owner, caller.name, caller.roles) == ("oid-1", "Ada", frozenset({Role.USER}))
        assert identify(claims(), EASYAUTH).name == "oid-1"

    @pytest.mark.parametrize("name", ["x-ms-client-principal", "X-Ms-Client-Principal", "X-MS-CLIENT-PRINCIPAL"])
    def test_in_any_case(self, name: str) -> None:
        (value,) = claims().values()
        assert identify({name: value}, EASYAUTH).owner == "oid-1"

    @pytest.mark.parametrize(
        ("found", "operator"),
        [
            (claims(("roles", "operator")), True),
            (claims(("roles", "Operator")), True),
            (claims(("roles", "user"), ("roles", "operator")), True),
            (claims(("http://roles", "operator"), role_typ="http://roles"), True),
            (claims(("http://roles", "operator")), False),
            (claims(("None", "operator")), False),
            (claims(("roles", "operators")), False),
            (claims(("name", "operator")), False),
            (claims(("groups", "operator")), False),
            (claims(("roles", None)), False),
            (claims(), False),
        ],
    )
    def test_roles(self, found: dict[str, str], operator: bool) -> None:
        caller = identify(found, EASYAUTH)
        assert caller.is_operator is operator
        assert Role.USER in caller.roles

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"X-MS-CLIENT-PRINCIPAL": ""},
            {"X-MS-CLIENT-PRINCIPAL": "garbage"},
            {"X-MS-CLIENT-PRINCIPAL": "!!!!"},
            {"X-MS-CLIENT-PRINCIPAL": "é"},
            {"X-MS-CLIENT-PRINCIPAL": next(iter(claims().values())) + "\n"},
            {"X-MS-CLIENT-PRINCIPAL-ID": "oid-1", "X-MS-CLIENT-PRINCIPAL-NAME": "ada"},
            {"Authorization": "Bearer token"},
            {"Host": "localhost"},
            header(b"\xff\xfe"),
            header(b"{"),
            header(b"[" * 40_000),
            header([]),
            header("text"),
            header(None),
            header(1),
            header({}),
            header({"claims": None}),
            header({"claims": "x"}),
            header({"claims": []}),
            header({"claims": [1]}),
            header({"claims": [{"typ": OBJECT_ID_CLAIM}]}),
            header({"claims": [{"val": "oid-1"}]}),
            header({"claims": [{"typ": OBJECT_ID_CLAIM, "val": ""}]}),
            header({"claims": [{"typ": OBJECT_ID_CLAIM, "val": None}]}),
            header({"claims": [{"typ": OBJECT_ID_CLAIM, "val": ["oid-1"]}]}),
            header({"claims": [{"typ": "oid", "val": "oid-1"}]}),
            header({"claims": [{"typ": "name", "val": "Ada"}, {"typ": "roles", "val": "operator"}]}),
        ],
    )
    @pytest.mark.proves("Q1")
    def test_anything_else_is_nobody(self, headers: dict[str, str]) -> None:
        with pytest.raises(UnauthenticatedError) as nobody:
            identify(headers, EASYAUTH)
        assert (nobody.value.code, nobody.value.status) == ("not_signed_in", 401)
        assert "oid-1" not in nobody.value.message + nobody.value.hint

    @pytest.mark.parametrize(
        "settings",
        [
            read_settings({"AUTH_MODE": mode, "WEBSITE_AUTH_ENABLED": enabled})
            for mode, enabled in (("easyauth", ""), ("easyauth", "False"), ("jwt", "True"), ("", "True"), ("x", "True"))
        ],
        ids=lambda settings: f"{settings.auth_mode}-{settings.platform_auth_enabled}",
    )
    def test_a_header_that_nobody_vouches_for_is_worth_nothing(self, settings: Settings) -> None:
        with pytest.raises(UnauthenticatedError):
            identify(claims(), settings)


class TestDev:
    @pytest.mark.parametrize("host", ["localhost", "localhost:7071", "127.0.0.1:1", "[::1]:7071", "LOCALHOST:7071"])
    def test_on_loopback(self, host: str) -> None:
        caller = identify({"Host": host}, DEV)
        assert caller.owner == "ada@localhost"
        assert caller.is_operator

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"Host": ""},
            {"Host": "example.org"},
            {"Host": "example.org:7071"},
            {"Host": "localhost.example.org:7071"},
            {"Host": "127.0.0.1.example.org"},
            {"Host": "localhost:7071@example.org"},
            {"Host": "10.0.0.1:7071"},
            {"Host": "0.0.0.0:7071"},
            {"X-Forwarded-Host": "localhost"},
            {"Host": "example.org", "X-Forwarded-Host": "localhost"},
            claims(),
        ],
    )
    @pytest.mark.proves("Q1")
    def test_a_foreign_name_is_nobody(self, headers: dict[str, str]) -> None:
        with pytest.raises(UnauthenticatedError):
            identify(headers, DEV)


def test_a_missing_role_is_refused() -> None:
    caller = identify(claims(), EASYAUTH)
    caller.need(Role.USER)
    with pytest.raises(ForbiddenError) as refused:
        caller.need(Role.OPERATOR)
    assert (refused.value.code, refused.value.status) == ("role_missing", 403)
