"""Signed URLs as pods get them: good for one thing, for one blob, for a while."""

from __future__ import annotations

import base64
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from local.stack.home import REPOSITORY
from shared.clients.blobs import AzureBlobs, Blobs
from shared.clients.credentials import StaticCredential
from tests.clients.conftest import Place
from tests.clients.support import fresh
from tests.clients.tls import Authority, make_authority
from tests.clients.wire import Rule, Wire

AZCOPY = REPOSITORY / "node_modules/@azure-tools/azcopy-linux/dist/bin/azcopy_linux_amd64"
HOUR = timedelta(hours=1)


@pytest.fixture
def container(blobs: Blobs) -> str:
    """A container with two blobs."""
    name = fresh("signed")
    for blob in ("db/one", "db/two"):
        blobs.put(name, blob, blob.encode(), "text/plain")
    return name


def put(url: str) -> int:
    return httpx.put(url, content=b"new", headers={"x-ms-blob-type": "BlockBlob"}).status_code


def other_blob(url: str) -> str:
    """The same signature for another blob."""
    return url.replace("/one?", "/two?")


class TestOfABlob:
    def test_read_reads_and_does_nothing_else(self, blobs: Blobs, container: str) -> None:
        url = blobs.url(container, "db/one", permissions="r", life=HOUR)
        assert httpx.get(url).content == b"db/one"
        assert httpx.get(url, headers={"Range": "bytes=3-"}).content == b"one"
        assert put(url) == 403
        assert httpx.delete(url).status_code == 403
        assert httpx.get(other_blob(url)).status_code == 403
        assert blobs.read(container, "db/one") == b"db/one"

    def test_write_writes_one_blob_and_reads_none(self, blobs: Blobs, container: str) -> None:
        url = blobs.url(container, "db/one", permissions="cw", life=HOUR)
        assert put(url) == 201
        assert put(url) == 201, "a pod that is tried again replaces its result"
        assert put(other_blob(url)) == 403
        assert httpx.get(url).status_code == 403
        assert httpx.delete(url).status_code == 403
        assert (blobs.read(container, "db/one"), blobs.read(container, "db/two")) == (b"new", b"db/two")

    def test_a_result_that_is_not_there_yet_can_be_made(self, blobs: Blobs, container: str) -> None:
        assert put(blobs.url(container, "results/new", permissions="cw", life=HOUR)) == 201
        assert blobs.read(container, "results/new") == b"new"

    @pytest.mark.parametrize("permissions", ["r", "cw"])
    def test_its_time_is_its_time(self, blobs: Blobs, container: str, permissions: str) -> None:
        url = blobs.url(container, "db/one", permissions=permissions, life=timedelta(seconds=-1))
        answer = httpx.get(url) if permissions == "r" else httpx.put(url, headers={"x-ms-blob-type": "BlockBlob"})
        assert answer.status_code == 403
        (expiry,) = parse_qs(urlsplit(blobs.url(container, "x", permissions="r", life=HOUR)).query)["se"]
        left = datetime.fromisoformat(expiry) - datetime.now(UTC)
        assert timedelta(minutes=59) < left <= HOUR

    @pytest.mark.parametrize(("what", "by"), [("sp=r", "sp=rw"), ("se=20", "se=21"), ("sig=", "sig=A")])
    def test_a_changed_one_is_refused(self, blobs: Blobs, container: str, what: str, by: str) -> None:
        url = blobs.url(container, "db/one", permissions="r", life=HOUR)
        assert httpx.get(url.replace(what, by, 1)).status_code == 403

    @pytest.mark.parametrize("name", ["ä b", "a#b", "a?b=c", "50%25", "a&b+c"])
    def test_any_name(self, blobs: Blobs, container: str, name: str) -> None:
        blobs.put(container, name, b"odd", "text/plain")
        assert httpx.get(blobs.url(container, name, permissions="r", life=HOUR)).content == b"odd"


class TestOfAContainer:
    def test_it_reads_and_lists_and_does_not_write(self, blobs: Blobs, container: str) -> None:
        url = blobs.url(container, permissions="rl", life=HOUR)
        place, query = url.split("?")
        listing = httpx.get(f"{url}&restype=container&comp=list&prefix=db/").text
        assert re.findall("<Name>(.*?)</Name>", listing) == ["db/one", "db/two"]
        assert httpx.get(f"{place}/db/two?{query}").content == b"db/two"
        assert httpx.head(f"{place}/db/two?{query}").headers["Content-Length"] == "6"
        assert put(f"{place}/db/two?{query}") == 403
        assert httpx.delete(f"{place}/db/two?{query}").status_code == 403
        assert httpx.get(f"{place.rsplit('/', 1)[0]}/results?{query}&restype=container&comp=list").status_code == 403

    def test_azcopy_copies_a_folder(self, blobs: Blobs, container: str, tmp_path: Path) -> None:
        if not AZCOPY.exists():
            pytest.skip("AzCopy is not installed: make setup")
        place, query = blobs.url(container, permissions="rl", life=HOUR).split("?")
        names = ("AZCOPY_LOG_LOCATION", "AZCOPY_JOB_PLAN_LOCATION", "HOME")
        environment = {**{name: str(tmp_path / "azcopy") for name in names}, "AZCOPY_DISABLE_SYSLOG": "true"}
        command: list[str | Path] = [
            AZCOPY,
            "copy",
            f"{place}/db/*?{query}",
            tmp_path / "copy",
            "--from-to",
            "BlobLocal",
        ]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stdout
        assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == ["one", "two"]


DELEGATION_KEY = """<?xml version="1.0" encoding="utf-8"?><UserDelegationKey>
<SignedOid>11111111-1111-4111-8111-111111111111</SignedOid><SignedTid>22222222-2222-4222-8222-222222222222</SignedTid>
<SignedStart>2026-01-01T00:00:00Z</SignedStart><SignedExpiry>2026-01-03T00:00:00Z</SignedExpiry>
<SignedService>b</SignedService><SignedVersion>2024-01-01</SignedVersion><Value>{}</Value></UserDelegationKey>"""


class TestWithoutTheAccountsKey:
    """Azurite gives no user delegation keys without Entra ID: a wire gives the answer that Azure gives."""

    @pytest.fixture
    def authority(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
        made = make_authority(tmp_path)
        (tmp_path / "authority.pem").write_bytes(made.pem)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
        return made

    def test_one_key_signs_many_and_outlives_each(self, place: Place, authority: Authority) -> None:
        body = DELEGATION_KEY.format(base64.b64encode(b"key").decode()).encode()
        rule = Rule(
            "POST",
            "comp=userdelegationkey",
            times=9,
            status=200,
            headers={"Content-Type": "application/xml"},
            body=body,
        )
        with Wire("", authority.server).serving() as wire, wire.breaking(rule), wire.watching() as seen:
            settings = place.settings(AzureWebJobsStorage="", ELB_BLOB_ENDPOINT=wire.url + "/{account}")
            blobs = AzureBlobs(settings, "elblocal", StaticCredential("secret-token"))
            lives = [timedelta(minutes=5), timedelta(hours=25), timedelta(hours=47), timedelta(hours=72)]
            urls = [blobs.url("results", "x", permissions="r", life=life) for life in lives]
        assert all("skoid=" in url and "sig=" in url and "secret-token" not in url for url in urls)
        ends = [datetime.fromisoformat(re.findall(b"<Expiry>(.*?)</Expiry>", each.body)[0].decode()) for each in seen]
        assert len(ends) == 2, "the first is good for three of them"
        now = datetime.now(UTC)
        assert ends[0] >= now + lives[2]
        assert now + timedelta(days=7) > ends[1] >= now + lives[3] - timedelta(minutes=1)
