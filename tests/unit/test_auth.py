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
NAME_ID_CLAIM = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier"
CLAIM = {"typ": OBJECT_ID_CLAIM, "val": "oid-1"}


def header(principal: Any) -> dict[str, str]:
    text = principal if isinstance(principal, bytes) else json.dumps(principal).encode()
    return {"X-MS-CLIENT-PRINCIPAL": base64.b64encode(text).decode()}


def claims(*pairs: tuple[str, Any], **fields: Any) -> dict[str, str]:
    found = [CLAIM, *({"typ": kind, "val": value} for kind, value in pairs)]
    return header({"auth_typ": "aad", "claims": found, **fields})


def principal(*found: Any, auth_typ: Any = "aad") -> dict[str, str]:
    """With these claims and no others."""
    rows = [claim if isinstance(claim, dict) else {"typ": claim[0], "val": claim[1]} for claim in found]
    return header({"auth_typ": auth_typ, "claims": rows})


(VALUE,) = claims().values()


class TestEasyAuth:
    @pytest.mark.parametrize(
        "headers",
        [
            principal((OBJECT_ID_CLAIM, "oid-1")),
            principal(("oid", "oid-1")),
            principal(("oid", "oid-1"), (OBJECT_ID_CLAIM, "oid-1")),
            principal(("name", "Ada"), ("oid", "oid-1"), ("sub", "other"), (NAME_ID_CLAIM, "other")),
        ],
    )
    def test_the_object_id_by_either_of_its_names(self, headers: dict[str, str]) -> None:
        assert identify(headers, EASYAUTH).owner == "oid-1"

    def test_as_the_platform_writes_it(self) -> None:
        """With the usual mapping of claims (Microsoft Learn, "Work with user identities in Azure App Service")."""
        role = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"
        email = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress"
        found = [
            ("aud", "0f0f"),
            ("iss", "https://login.microsoftonline.com/8f9d/v2.0"),
            (email, "ada@example.org"),
            ("groups", "g1"),
            ("groups", "g2"),
            ("name", "Ada"),
            (OBJECT_ID_CLAIM, "oid-1"),
            ("preferred_username", "ada@example.org"),
            (role, "operator"),
            (NAME_ID_CLAIM, "pairwise"),
        ]
        rows = [{"typ": kind, "val": value} for kind, value in found]
        caller = identify(header({"auth_typ": "aad", "claims": rows, "name_typ": email, "role_typ": role}), EASYAUTH)
        assert (caller.owner, caller.name, caller.is_operator) == ("oid-1", "Ada", True)

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

    @pytest.mark.parametrize("client", ["azp", "appid"])
    def test_an_app_that_was_granted_nothing_is_refused(self, client: str) -> None:
        """Any app of the tenant gets a token for this one, and App Service takes it for somebody signed in."""
        with pytest.raises(ForbiddenError) as refused:
            identify(claims((client, "app-1"), ("name", "robot"), ("roles", "reader")), EASYAUTH)
        assert refused.value.code == "role_missing"
        scope = "http://schemas.microsoft.com/identity/claims/scope"
        for grant in (("scp", "user_impersonation"), (scope, "user_impersonation"), ("roles", "User")):
            assert not identify(claims((client, "app-1"), grant), EASYAUTH).is_operator
        assert identify(claims((client, "app-1"), ("roles", "operator")), EASYAUTH).is_operator

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
            header({"auth_typ": "aad", "claims": None}),
            header({"auth_typ": "aad", "claims": "x"}),
            principal(),
            header({"auth_typ": "aad", "claims": [1]}),
            principal({"typ": OBJECT_ID_CLAIM}),
            principal({"val": "oid-1"}),
            principal((OBJECT_ID_CLAIM, "")),
            principal((OBJECT_ID_CLAIM, None)),
            principal((OBJECT_ID_CLAIM, "oid-1\n")),
            principal((OBJECT_ID_CLAIM, "oid-1\ud800")),
            principal((OBJECT_ID_CLAIM, ["oid-1"])),
            principal(("OID", "oid-1")),
            principal((["oid"], "oid-1")),
            principal(("sub", "oid-1")),
            principal((NAME_ID_CLAIM, "oid-1")),
            principal(("name", "Ada"), ("roles", "operator")),
            principal(("oid", "oid-1"), (OBJECT_ID_CLAIM, "oid-2")),
            principal(("oid", ""), (OBJECT_ID_CLAIM, "oid-1")),
            principal((OBJECT_ID_CLAIM, "oid-2"), (OBJECT_ID_CLAIM, "oid-1")),
            header({"claims": [CLAIM]}),
            *[principal(("oid", "oid-1"), auth_typ=kind) for kind in ("google", "aad2", "AAD", "", None, ["aad"])],
            {"X-MS-CLIENT-PRINCIPAL": VALUE, "x-ms-client-principal": VALUE},
            {"X-MS-CLIENT-PRINCIPAL": f"{VALUE}, {VALUE}"},
            {"X-MS-CLIENT-PRINCIPAL": f" {VALUE}"},
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
            {"Host": "localhost", "host": "localhost"},
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
