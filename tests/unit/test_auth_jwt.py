"""Bearer tokens: only the tenant's own word, for this app, at this time, by RS256; everything else is nobody."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import azure.functions as func
import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from shared import auth_jwt, responses
from shared.auth import Caller, Role, identify
from shared.config import Settings, read_settings
from shared.domain.errors import ForbiddenError, TransientError, UnauthenticatedError
from shared.responses import Reply, endpoint
from tests.unit.key_server import (
    AUDIENCE,
    ISSUER,
    OWNER,
    TENANT,
    KeyServer,
    claims,
    key_server,
    part,
    private_key,
    public_row,
    token,
)

MINUTE = 60


@pytest.fixture(scope="module")
def server() -> Iterator[KeyServer]:
    """The tenant's keys."""
    with key_server("k1", "k2") as made:
        yield made


@pytest.fixture
def settings(server: KeyServer) -> Settings:
    """An app that takes the tenant's tokens."""
    return settings_for(server.url)


def settings_for(url: str, **environ: str) -> Settings:
    """The settings of such an app."""
    usual = {"AUTH_MODE": "jwt", "AUTH_TENANT_ID": TENANT, "AUTH_AUDIENCE": AUDIENCE, "AUTH_KEYS_URL": url}
    return read_settings({**usual, **environ})


def bearer(text: str) -> dict[str, str]:
    """The header."""
    return {"Authorization": f"Bearer {text}"}


def now() -> int:
    """Seconds since 1970."""
    return int(time.time())


class TestGoodTokens:
    def test_the_object_id_is_the_owner(self, settings: Settings) -> None:
        caller = identify(bearer(token()), settings)
        assert caller == Caller(OWNER, "ada@example.org", frozenset({Role.USER}))

    @pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER  "])
    @pytest.mark.parametrize("name", ["Authorization", "authorization"])
    def test_the_scheme_and_the_header_in_any_case(self, settings: Settings, scheme: str, name: str) -> None:
        assert identify({name: scheme + token()}, settings).owner == OWNER

    @pytest.mark.parametrize("key", ["k1", "k2"])
    def test_by_any_of_the_tenant_s_keys(self, settings: Settings, key: str) -> None:
        assert identify(bearer(token(key)), settings).owner == OWNER

    @pytest.mark.parametrize(
        ("fields", "roles"),
        [
            ({"roles": ["operator"]}, {Role.USER, Role.OPERATOR}),
            ({"roles": ["Operator", "x"]}, {Role.USER, Role.OPERATOR}),
            ({"roles": ["user"], "scp": None}, {Role.USER}),
            ({"roles": ["operator"], "scp": None}, {Role.USER, Role.OPERATOR}),
            ({"roles": ["operators"]}, {Role.USER}),
            ({"roles": "operator"}, {Role.USER}),
            ({"roles": [1, None, ["operator"]]}, {Role.USER}),
            ({"groups": ["operator"], "scp": "operator"}, {Role.USER}),
        ],
    )
    def test_roles(self, settings: Settings, fields: dict[str, Any], roles: set[Role]) -> None:
        assert identify(bearer(token(**fields)), settings).roles == roles

    @pytest.mark.parametrize(
        ("fields", "name"),
        [
            ({}, "ada@example.org"),
            ({"preferred_username": None, "name": "Ada"}, "Ada"),
            ({"preferred_username": None, "upn": "ada@old"}, "ada@old"),
            ({"preferred_username": ["x"]}, OWNER),
            ({"preferred_username": "ada\n"}, OWNER),
            ({"preferred_username": None}, OWNER),
        ],
    )
    def test_names(self, settings: Settings, fields: dict[str, Any], name: str) -> None:
        assert identify(bearer(token(**fields)), settings).name == name

    @pytest.mark.parametrize(("claim", "seconds"), [("exp", -MINUTE / 2), ("nbf", MINUTE / 2), ("iat", MINUTE / 2)])
    def test_clocks_may_differ_a_little(self, settings: Settings, claim: str, seconds: float) -> None:
        fields: dict[str, Any] = {claim: now() + int(seconds)}
        assert identify(bearer(token(**fields)), settings).owner == OWNER

    def test_one_of_the_audiences_that_a_token_is_for(self, settings: Settings) -> None:
        assert identify(bearer(token(aud=["other", AUDIENCE])), settings).owner == OWNER

    def test_any_of_several_audiences(self, server: KeyServer) -> None:
        settings = settings_for(server.url, AUTH_AUDIENCE=f"0f0f,{AUDIENCE}")
        assert identify(bearer(token(aud="0f0f")), settings).owner == OWNER
        assert identify(bearer(token()), settings).owner == OWNER

    def test_another_issuer_where_the_settings_say_so(self, server: KeyServer) -> None:
        issuer = f"https://sts.windows.net/{TENANT}/"
        settings = settings_for(server.url, AUTH_ISSUER=issuer)
        assert identify(bearer(token(iss=issuer)), settings).owner == OWNER
        with pytest.raises(UnauthenticatedError):
            identify(bearer(token()), settings)


def with_algorithm(algorithm: str) -> str:
    """Signed as the tenant would with another algorithm of the same key."""
    return jwt.encode(claims(), private_key("k1"), algorithm, {"kid": "k1"})


def with_public_key_as_secret(secret: bytes) -> str:
    """HS256 with what everybody knows; by hand, because the library refuses to."""
    signed = f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': 'k1'})}.{part(claims())}"
    return f"{signed}.{part(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"


def pem() -> bytes:
    """The public key as a file has it."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return private_key("k1").public_key().public_bytes(serialization.Encoding.PEM, form)


def without_signature(algorithm: str, signature: str = "") -> str:
    """What nobody has signed."""
    return f"{part({'alg': algorithm, 'typ': 'JWT', 'kid': 'k1'})}.{part(claims())}.{signature}"


def changed(which: int, value: Any) -> str:
    """A good token with one part of another one."""
    parts = token().split(".")
    parts[which] = part(value)
    return ".".join(parts)


def signed_content(content: bytes) -> str:
    """Something else than claims, signed with the tenant's key."""
    return jwt.PyJWS().encode(content, private_key("k1"), "RS256", {"kid": "k1"})


BAD: dict[str, Callable[[], str]] = {
    "nothing": lambda: "",
    "garbage": lambda: "garbage",
    "dots": lambda: "..",
    "two parts": lambda: ".".join(token().split(".")[:2]),
    "four parts": lambda: token() + ".x",
    "not base64": lambda: "a.b.c",
    "not JSON": lambda: f"{part(b'{')}.{part(b'{')}.{part(b'x')}",
    "a header that is a list": lambda: f"{part([])}.{part({})}.{part(b'x')}",
    "a deep header": lambda: f"{part(b'[' * 5000)}.{part({})}.{part(b'x')}",
    "a large number": lambda: f"{part(b'9' * 5000)}.{part({})}.{part(b'x')}",
    "not ASCII": lambda: token() + "é",
    "a newline": lambda: token() + "\n",
    "huge": lambda: token(extra="x" * auth_jwt.MAX_TOKEN),
    "two headers in one": lambda: f"{token()}, Bearer {token()}",
    "two headers in one, the first one bad": lambda: f"x, Bearer {token()}",
    "alg none": lambda: without_signature("none"),
    "alg None": lambda: without_signature("None", "x"),
    "alg none with a signature": lambda: without_signature("none", token().split(".")[2]),
    "alg RS256 without a signature": lambda: without_signature("RS256"),
    "alg HS256 with the public key": lambda: with_public_key_as_secret(pem()),
    "alg HS256 with the modulus": lambda: with_public_key_as_secret(public_row("k1")["n"].encode()),
    "alg HS256 with nothing": lambda: with_public_key_as_secret(b""),
    "alg RS384": lambda: with_algorithm("RS384"),
    "alg RS512": lambda: with_algorithm("RS512"),
    "alg PS256": lambda: with_algorithm("PS256"),
    "alg rs256": lambda: changed(0, {"alg": "rs256", "kid": "k1"}),
    "alg a list": lambda: changed(0, {"alg": ["RS256"], "kid": "k1"}),
    "no alg": lambda: changed(0, {"kid": "k1"}),
    "another's key": lambda: token("mallory"),
    "another's key under the tenant's name": lambda: token("mallory", {"kid": "k1"}),
    "another key of the tenant's": lambda: token("k2", {"kid": "k1"}),
    "its own key": lambda: token("mallory", {"kid": "k1", "jwk": public_row("mallory")}),
    "an address of its own key": lambda: token("mallory", {"kid": "k1", "jku": "http://127.0.0.1:1/", "x5u": "x"}),
    "no kid": lambda: jwt.encode(claims(), private_key("k1"), "RS256"),
    "an empty kid": lambda: token(header={"kid": ""}),
    "a long kid": lambda: token(header={"kid": "k" * 201}),
    "a kid that is no text": lambda: changed(0, {"alg": "RS256", "kid": ["k1"]}),
    "an unknown kid": lambda: token(header={"kid": "k3"}),
    "crit": lambda: token(header={"crit": ["exp"], "exp": 1}),
    "an empty crit": lambda: token(header={"crit": []}),
    "crit b64": lambda: token(header={"crit": ["b64"], "b64": True}),
    "b64": lambda: changed(0, {"alg": "RS256", "kid": "k1", "b64": False}),
    "other claims": lambda: changed(1, claims(oid="mallory")),
    "claims that are a list": lambda: signed_content(b"[]"),
    "claims that are no JSON": lambda: signed_content(b"{"),
    "claims that are deep": lambda: signed_content(b"[" * 5000),
    "expired": lambda: token(exp=now() - 2 * MINUTE),
    "long expired": lambda: token(exp=1),
    "exp of another kind": lambda: token(exp="soon"),
    "exp beyond all numbers": lambda: token(exp=float("inf")),
    "no exp": lambda: token(exp=None),
    "not yet valid": lambda: token(nbf=now() + 2 * MINUTE),
    "no nbf": lambda: token(nbf=None),
    "issued tomorrow": lambda: token(iat=now() + 86_400),
    "another app's": lambda: token(aud="api://other"),
    "no aud": lambda: token(aud=None),
    "aud in another case": lambda: token(aud=AUDIENCE.upper()),
    "aud that begins so": lambda: token(aud=AUDIENCE + "2"),
    "aud of another kind": lambda: token(aud={"api://elb": 1}),
    "another tenant's": lambda: token(iss=ISSUER.replace("a/v2.0", "b/v2.0")),
    "version 1": lambda: token(iss=f"https://sts.windows.net/{TENANT}/"),
    "no iss": lambda: token(iss=None),
    "iss with more": lambda: token(iss=ISSUER + "/"),
    "iss of another kind": lambda: signed_content(json.dumps(claims(iss=[ISSUER])).encode()),
    "no oid": lambda: token(oid=None),
    "an empty oid": lambda: token(oid=""),
    "oid of another kind": lambda: token(oid=[OWNER]),
    "oid with a line": lambda: token(oid=OWNER + "\n"),
    "oid with half a character": lambda: token(oid=OWNER + "\ud800"),
}


@pytest.mark.proves("Q1")
@pytest.mark.parametrize("name", BAD)
def test_bad_tokens_are_nobody(settings: Settings, name: str) -> None:
    with pytest.raises(UnauthenticatedError) as nobody:
        identify(bearer(BAD[name]()), settings)
    assert (nobody.value.code, nobody.value.status) == ("not_signed_in", 401)
    assert OWNER not in nobody.value.message + nobody.value.hint


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic YTpi"},
        {"X-MS-CLIENT-PRINCIPAL": part({"auth_typ": "aad", "claims": [{"typ": "oid", "val": OWNER}]})},
        {"Host": "localhost"},
        {"Cookie": "token"},
    ],
)
def test_without_a_token_there_is_nobody(settings: Settings, headers: dict[str, str]) -> None:
    with pytest.raises(UnauthenticatedError):
        identify(headers, settings)


def test_of_two_headers_none_is_believed(settings: Settings) -> None:
    with pytest.raises(UnauthenticatedError):
        identify({"Authorization": f"Bearer {token()}", "authorization": f"Bearer {token()}"}, settings)


def test_a_token_without_its_scheme_is_none(settings: Settings) -> None:
    for text in (token(), f"Token {token()}", f"Bearer\t{token()}", f" Bearer {token()}"):
        with pytest.raises(UnauthenticatedError):
            identify({"Authorization": text}, settings)


@pytest.mark.parametrize("name", ["AUTH_TENANT_ID", "AUTH_AUDIENCE"])
def test_an_app_that_is_not_told_whose_tokens_takes_none(server: KeyServer, name: str) -> None:
    with pytest.raises(UnauthenticatedError):
        identify(bearer(token()), settings_for(server.url, **{name: "", "AUTH_ISSUER": ISSUER}))


@pytest.mark.parametrize("mode", ["easyauth", "dev", "", "JWT"])
def test_another_mode_takes_no_token(server: KeyServer, mode: str) -> None:
    settings = settings_for(server.url, AUTH_MODE=mode, WEBSITE_AUTH_ENABLED="True")
    with pytest.raises(UnauthenticatedError):
        identify({**bearer(token()), "Host": "example.org"}, settings)


@pytest.mark.parametrize(
    "fields", [{}, {"roles": []}, {"roles": ["reader"]}, {"roles": "user"}, {"scp": ""}, {"scp": " "}, {"scp": ["x"]}]
)
def test_a_token_that_grants_nothing_is_refused(settings: Settings, fields: dict[str, Any]) -> None:
    """Every app of the tenant can get one, and so can a sign-in."""
    with pytest.raises(ForbiddenError) as refused:
        identify(bearer(token(**{"scp": None, **fields})), settings)
    assert refused.value.code == "role_missing"


def test_who_has_been_known_is_told_that_it_was_too_long_ago(settings: Settings) -> None:
    with pytest.raises(UnauthenticatedError, match="expired"):
        identify(bearer(token(exp=now() - 2 * MINUTE)), settings)
    with pytest.raises(UnauthenticatedError) as nobody:  # not known: somebody else has signed it
        identify(bearer(token("mallory", {"kid": "k1"}, exp=1)), settings)
    assert "expired" not in nobody.value.message


class TestKeys:
    def test_nothing_of_a_bad_header_makes_a_fetch(self) -> None:
        with key_server("k1") as server:
            settings = settings_for(server.url)
            for name in ("alg none", "alg HS256 with the public key", "alg RS512", "no kid", "a long kid", "garbage"):
                with pytest.raises(UnauthenticatedError):
                    identify(bearer(BAD[name]()), settings)
            assert server.asked == 0

    def test_made_up_keys_make_one_fetch(self) -> None:
        with key_server("k1") as server:
            settings = settings_for(server.url)
            for number in range(50):
                with pytest.raises(UnauthenticatedError):
                    identify(bearer(token(header={"kid": f"made up {number}"})), settings)
            assert server.asked == 1
            assert identify(bearer(token()), settings).owner == OWNER

    def test_without_keys_nobody_can_be_told_from_anybody(self) -> None:
        with key_server("k1") as server:
            settings, server.status = settings_for(server.url), 500
            for text in (token(), token("mallory")):
                with pytest.raises(TransientError) as unavailable:
                    identify(bearer(text), settings)
                assert (unavailable.value.code, unavailable.value.status) == ("signing_keys_unavailable", 503)


class TestOverHttp:
    def answer(self, headers: dict[str, str], settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Any:
        """What an endpoint answers that says who is asking."""

        @endpoint
        def who(req: func.HttpRequest, caller: Caller) -> Reply:
            return Reply({"owner": caller.owner})

        monkeypatch.setattr(responses, "settings", lambda: settings)
        return who(func.HttpRequest("GET", "https://x/api", headers=headers, body=b""))

    def test_the_owner(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        answer = self.answer(bearer(token()), settings, monkeypatch)
        assert json.loads(answer.get_body()) == {"owner": OWNER}

    def test_nobody_is_told_what_is_wanted(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        answer = self.answer(bearer("x"), settings, monkeypatch)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")

    def test_without_keys_it_is_said_when_to_ask_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with key_server("k1") as server:
            server.content = b"x"
            answer = self.answer(bearer(token()), settings_for(server.url), monkeypatch)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert json.loads(answer.get_body())["error"]["code"] == "signing_keys_unavailable"

    def test_nothing_of_a_token_is_logged(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("DEBUG")
        for make in BAD.values():
            self.answer(bearer(make()), settings, monkeypatch)
        self.answer(bearer(token()), settings, monkeypatch)
        assert "token_refused" in caplog.text
        for secret in (part(claims())[:20], "mallory", "ada@", OWNER, "eyJ"):
            assert secret not in caplog.text
