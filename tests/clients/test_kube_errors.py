"""What the Kubernetes client makes of refusals and silence, and what it does not do behind its caller's back."""

from __future__ import annotations

import itertools
import json
import socket
import tempfile
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.clients.kube import KubeClient
from shared.clients.kube_credentials import KubeAccess, read_kubeconfig
from shared.domain.errors import ConflictError, ElbError, NotFoundError, PermanentError, TransientError
from tests.clients.conftest import Place
from tests.clients.support import fresh
from tests.clients.tls import Authority, make_authority
from tests.clients.wire import Rule, Wire


@pytest.fixture
def wire() -> Iterator[Wire]:
    """An API server that answers what a test says."""
    with Wire().serving() as serving:
        yield serving


@pytest.fixture
def kube(wire: Wire) -> KubeClient:
    return KubeClient(KubeAccess(wire.url, "", ""), "default", lambda: "secret-token")


def status_body(message: str, reason: str = "") -> bytes:
    return json.dumps({"kind": "Status", "message": message, "reason": reason}).encode()


ANSWERS: list[tuple[int, bytes, type[ElbError], str]] = [
    (400, status_body("is malformed"), PermanentError, "kube_refused"),
    (401, status_body("Unauthorized"), TransientError, "kube_denied"),
    (403, status_body('jobs.batch is forbidden: User "x" cannot list'), TransientError, "kube_denied"),
    (403, status_body('"blastn-quota-db" is forbidden: User "x" cannot create'), TransientError, "kube_denied"),
    (403, status_body('"x" is forbidden: exceeded quota: compute, requested: 4'), PermanentError, "quota_refused"),
    (403, status_body('"x" is forbidden: failed quota: q: must specify cpu'), PermanentError, "quota_refused"),
    (404, status_body('"x" not found', "NotFound"), NotFoundError, "kube_not_found"),
    (409, status_body("already exists", "AlreadyExists"), ConflictError, "already_exists"),
    (409, status_body("object is being deleted", "Conflict"), ConflictError, "kube_conflict"),
    (410, status_body("too old"), TransientError, "kube_list_expired"),
    (413, b"too large", PermanentError, "kube_refused"),
    (422, status_body("spec.x: Invalid value"), PermanentError, "kube_refused"),
    (429, status_body("too many requests"), TransientError, "kube_busy"),
    (500, status_body("etcdserver: request timed out"), TransientError, "kube_busy"),
    (502, b"<html>bad gateway</html>", TransientError, "kube_busy"),
    (503, b"", TransientError, "kube_busy"),
    (504, b"[]", TransientError, "kube_busy"),
    (200, b"<html>sign in</html>", TransientError, "kube_unreachable"),
    (200, b"", TransientError, "kube_unreachable"),
    (302, b"", TransientError, "kube_unreachable"),
]


class TestAnswers:
    @pytest.mark.parametrize(("status", "body", "kind", "code"), ANSWERS)
    def test_as_our_errors(
        self, wire: Wire, kube: KubeClient, status: int, body: bytes, kind: type[ElbError], code: str
    ) -> None:
        with wire.breaking(Rule(status=status, body=body)), wire.watching() as seen, pytest.raises(kind) as caught:
            kube.create("jobs", {"metadata": {"name": "x"}})
        assert caught.value.code == code
        assert "jobs x" in caught.value.message
        if body.startswith(b"{"):
            assert json.loads(body)["message"] in caught.value.message
        assert "secret-token" not in str(caught.value)
        assert len(seen) == 1, "what may have been done is not sent again"

    @pytest.mark.proves("T5")
    @pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b'"ok"', b'{"items": []}', status_body("ok")])
    def test_what_is_no_list_is_not_an_empty_one(self, wire: Wire, kube: KubeClient, body: bytes) -> None:
        """It would say that all Jobs are gone."""
        with wire.breaking(Rule(status=200, body=body)), pytest.raises(TransientError) as caught:
            kube.jobs("app=blast")
        assert caught.value.code == "kube_unreachable"

    @pytest.mark.parametrize(
        ("header", "known"),
        [("Wed, 04 Mar 2026 12:00:00 GMT", datetime(2026, 3, 4, 12, tzinfo=UTC)), ("soon", None), ("", None)],
    )
    def test_a_clock_that_cannot_be_read_is_unknown(
        self, wire: Wire, kube: KubeClient, header: str, known: datetime | None
    ) -> None:
        with wire.breaking(Rule(status=200, headers={"Date": header}, body=b'{"kind": "JobList", "items": []}')):
            kube.jobs("app=blast")
        assert kube.server_time() == known

    @pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("soon", None), (None, None)])
    def test_how_long_to_wait(self, wire: Wire, kube: KubeClient, header: str | None, seconds: float | None) -> None:
        headers = {} if header is None else {"retry-after": header}
        with wire.breaking(Rule(status=429, headers=headers)), pytest.raises(TransientError) as caught:
            kube.jobs("app=blast")
        assert caught.value.retry_after == seconds

    def test_the_emulator_under_pressure(self, place: Place) -> None:
        place.control("/faults", {"status": 429, "retry_after": 3, "count": 1, "path_regex": "jobs"})
        with pytest.raises(TransientError) as caught:
            place.kube().jobs("app=blast")
        assert (caught.value.code, caught.value.retry_after) == ("kube_busy", 3.0)
        assert isinstance(place.kube().jobs("app=blast"), list)


class TestSilence:
    @pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
    def test_a_broken_connection_is_not_tried_again(self, wire: Wire, kube: KubeClient, method: str) -> None:
        manifest = {"metadata": {"name": "x"}}
        calls: dict[str, Callable[[], object]] = {
            "GET": lambda: kube.get("jobs", "x"),
            "POST": lambda: kube.create("jobs", manifest),
            "PUT": lambda: kube.replace("jobs", manifest),
            "DELETE": lambda: kube.delete("jobs", "x"),
        }
        with wire.breaking(Rule(times=9)), wire.watching() as seen, pytest.raises(TransientError) as caught:
            calls[method]()
        assert caught.value.code == "kube_unreachable"
        assert [each.method for each in seen] == [method]

    def test_a_create_whose_answer_was_lost_is_seen_by_the_next(self, place: Place) -> None:
        manifest = {"kind": "ConfigMap", "metadata": {"name": fresh("map")}}
        with place.kubernetes.breaking(Rule("POST", forward=True)), pytest.raises(TransientError):
            place.kube().create("configmaps", manifest)
        with pytest.raises(ConflictError) as caught:
            place.kube().create("configmaps", manifest)
        assert caught.value.code == "already_exists"

    def test_the_emulator_breaks_off(self, place: Place) -> None:
        place.control("/faults", {"reset": True, "count": 1, "path_regex": "jobs"})
        with pytest.raises(TransientError):
            place.kube().jobs("app=blast")

    def test_no_answer_in_time(self, place: Place) -> None:
        place.control("/faults", {"latency_ms": 1000, "count": 1, "path_regex": "jobs"})
        with pytest.raises(TransientError) as caught:
            place.kube(timeout=(1, 0.1)).jobs("app=blast")
        assert caught.value.code == "kube_unreachable"

    def test_nobody_there_says_the_same_each_time(self) -> None:
        with socket.socket() as held:  # bound and not listening: nothing else can take the port
            held.bind(("127.0.0.1", 0))
            access = KubeAccess(f"http://127.0.0.1:{held.getsockname()[1]}", "", "")
            messages = set()
            for _ in range(3):
                with pytest.raises(TransientError) as caught:
                    KubeClient(access, "default", lambda: "secret-token").jobs("app=blast")
                messages.add(caught.value.message)
        assert len(messages) == 1, "a reason that differs would be written to every row at every look"


class TestToken:
    def test_it_is_asked_for_every_request(self, wire: Wire) -> None:
        numbers = itertools.count(1)
        kube = KubeClient(KubeAccess(wire.url, "", ""), "default", lambda: f"token-{next(numbers)}")
        with wire.breaking(Rule(times=9, status=200, body=b"{}")), wire.watching() as seen:
            for _ in range(3):
                kube.get("jobs", "x")
        assert [each.headers["Authorization"] for each in seen] == [f"Bearer token-{number}" for number in (1, 2, 3)]

    def test_a_new_one_is_taken_by_the_same_client(self, place: Place) -> None:
        tokens = iter(["an old one", place.stack.identity.cluster_token])
        kube = place.kube(lambda: next(tokens))
        with pytest.raises(TransientError) as caught:
            kube.jobs("app=blast")
        assert caught.value.code == "kube_denied"
        assert isinstance(kube.jobs("app=blast"), list)

    @pytest.mark.parametrize("status", [301, 302, 307, 308])
    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_a_redirect_does_not_get_it(self, wire: Wire, kube: KubeClient, status: int, method: str) -> None:
        with Wire().serving() as elsewhere, elsewhere.watching() as seen:
            for target in (elsewhere.url, wire.url + "/elsewhere"):
                rule = Rule(status=status, headers={"Location": target})
                with wire.breaking(rule), wire.watching() as first, pytest.raises(TransientError):
                    kube.get("jobs", "x") if method == "GET" else kube.create("jobs", {"metadata": {"name": "x"}})
                assert len(first) == 1
        assert seen == []


class TestTls:
    """A cluster behind TLS, with an authority that only its kubeconfig knows."""

    @pytest.fixture
    def authority(self, tmp_path: Path) -> Authority:
        return make_authority(tmp_path)

    def config(self, server: str, authority: Authority) -> str:
        cluster = {"server": server, "certificate-authority-data": b64encode(authority.pem).decode()}
        return json.dumps(
            {
                "clusters": [{"name": "c", "cluster": cluster}],
                "users": [{"name": "u", "user": {"token": "secret-token"}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "x",
            }
        )

    def connect(self, text: str) -> KubeClient:
        access = read_kubeconfig(text)
        return KubeClient(access, "default", lambda: access.token)

    def test_nothing_is_written_to_disk(
        self, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(scratch))
        monkeypatch.setenv("HOME", str(scratch))
        monkeypatch.chdir(scratch)
        with Wire("", authority.server).serving() as wire:
            kube = self.connect(self.config(wire.url, authority))
            with (
                wire.breaking(Rule(status=200, body=b'{"kind": "JobList"}'), Rule(status=500)),
                wire.watching() as seen,
            ):
                assert kube.jobs("app=blast") == []
                with pytest.raises(TransientError):
                    kube.jobs("app=blast")
        assert len(seen) == 2
        assert list(scratch.rglob("*")) == []

    def test_another_authority_gets_no_token(self, authority: Authority, tmp_path: Path) -> None:
        other = make_authority(tmp_path)
        with Wire("", authority.server).serving() as wire, wire.watching() as seen:
            for text in (self.config(wire.url, other), self.config(wire.url, other).replace("certificate-", "no-")):
                with pytest.raises(TransientError) as caught:
                    self.connect(text).jobs("app=blast")
                assert caught.value.code == "kube_unreachable"
                assert "CERTIFICATE_VERIFY_FAILED" in caught.value.message
        assert seen == []
