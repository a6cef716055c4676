"""``blast.sh``, run for real: its exit codes, what it prints, and what it leaves behind.

BLAST is a small stand-in; curl is the real one, storage is a server in this process.
"""

from __future__ import annotations

import gzip
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from shared.domain.failures import Failure, told_by_log
from tests.unit.scripts.support import SCRIPTS, SIGNATURE, executable, needs

QUERY = b">q\nACGT\n"


@dataclass
class Storage:
    """A server that answers as it is told to, in order; then with what it holds."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    answers: dict[str, list[int]] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    url: str = ""
    error_code: str = ""

    def asked(self, method: str) -> list[str]:
        return [path for found, path, _ in self.requests if found == method]


@pytest.fixture
def storage() -> Iterator[Storage]:
    found = Storage()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def reply(self, default: int, content: bytes = b"") -> None:
            path = self.path.partition("?")[0]
            found.requests.append((self.command, path, {k.lower(): v for k, v in self.headers.items()}))
            told = found.answers.get(f"{self.command} {path}") or []
            status = told.pop(0) if told else default
            cut = status == 299  # more is promised than sent
            sent = content if cut or status == default else b""
            self.send_response(200 if cut else status)
            self.send_header("Content-Length", str(len(sent) + (100 if cut else 0)))
            if found.error_code:
                self.send_header("x-ms-error-code", found.error_code)
            self.end_headers()
            self.wfile.write(sent)
            self.close_connection = cut

        def do_GET(self) -> None:
            content = found.blobs.get(self.path.partition("?")[0])
            self.reply(404 if content is None else 200, content or b"")

        def do_PUT(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            found.blobs[self.path.partition("?")[0]] = content
            self.reply(201)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.reply(202)

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield found
    server.shutdown()
    server.server_close()
    thread.join(5)


type Blast = Callable[..., subprocess.CompletedProcess[str]]


@needs("curl", "gzip", "awk")
class TestBlast:
    """``blast.sh``: download, BLAST, upload, call back."""

    @pytest.fixture
    def work(self, tmp_path: Path) -> Path:
        folder = tmp_path / "work"
        folder.mkdir()
        return folder

    @pytest.fixture
    def blast(self, storage: Storage, tmp_path: Path, work: Path) -> Blast:
        """Run the script with a BLAST that copies its query to its output and ends as the test says."""
        storage.blobs["/queries/q.gz"] = gzip.compress(QUERY)
        program = tmp_path / "blastn"
        executable(
            program,
            "#!/bin/bash\nend=$1; shift\n"
            "while (($#)); do case $1 in -query) query=$2;; -out) out=$2;; esac; shift; done\n"
            'cp "$query" "$out"; echo from BLAST >&2\n'
            'if [[ $end == kill ]]; then kill -9 $$; fi\nexit "$end"\n',
        )

        def run(
            end: str = "0", *, command: list[str] | None = None, **environ: str
        ) -> subprocess.CompletedProcess[str]:
            env = {
                "PATH": os.environ["PATH"],
                "ELB_WORK": str(work),
                "BLAST_ELB_JOB_ID": "job-a",
                "ELB_QUERY_URL": f"{storage.url}/queries/q.gz?{SIGNATURE}",
                "ELB_RESULT_URL": f"{storage.url}/results/r.gz?{SIGNATURE}",
                "ELB_CALLBACK_URL": f"{storage.url}/notify",
                "ELB_CALLBACK_TOKEN": "hush-token",
                **environ,
            }
            words = [str(program), end] if command is None else command
            done = subprocess.run(
                ["bash", str(SCRIPTS / "blast.sh"), *words], env=env, capture_output=True, text=True, timeout=30
            )
            assert "hush" not in done.stdout + done.stderr, "signatures and tokens are not for logs"
            return done

        return run

    def test_success(self, blast: Blast, storage: Storage) -> None:
        done = blast()
        assert done.returncode == 0, done.stdout
        assert gzip.decompress(storage.blobs["/results/r.gz"]) == QUERY
        ((_, _, headers),) = [found for found in storage.requests if found[0] == "PUT"]
        assert headers["x-ms-blob-type"] == "BlockBlob"
        assert float(headers["x-ms-meta-blast_seconds"]) >= 0
        ((_, path, headers),) = [found for found in storage.requests if found[0] == "POST"]
        assert (path, headers["x-elb-token"]) == ("/notify", "hush-token")
        assert "job job-a on" in done.stdout
        assert "from BLAST" in done.stderr

    @pytest.mark.parametrize(
        ("says", "version"),
        [
            ("blastn: 2.12.0+\\n Package: blast 2.12.0, build Feb 17 2022 10:04:48", "2.12.0+"),
            ("tblastx: 2.16.0", "2.16.0"),
            ("something else: x", None),
        ],
    )
    def test_the_result_says_which_version_wrote_it(
        self, blast: Blast, storage: Storage, tmp_path: Path, says: str, version: str | None
    ) -> None:
        other = tmp_path / "versioned"
        text = f'#!/bin/bash\nif [[ $1 == -version ]]; then printf "{says}\\n"; else exec {tmp_path}/blastn "$@"; fi\n'
        executable(other, text)
        assert blast(command=[str(other), "0"]).returncode == 0
        ((_, _, headers),) = [found for found in storage.requests if found[0] == "PUT"]
        assert headers.get("x-ms-meta-blast_version") == version

    @pytest.mark.parametrize(
        ("end", "code"),
        [*((str(code), code) for code in range(1, 7)), ("7", 70), ("64", 70), ("127", 70), ("255", 70), ("kill", 4)],
    )
    def test_only_blast_s_own_codes_leave_as_1_to_6(self, blast: Blast, storage: Storage, end: str, code: int) -> None:
        done = blast(end)
        assert done.returncode == code
        assert "BLAST ended with exit code" in done.stdout
        assert storage.asked("PUT") == []
        assert storage.asked("POST") == [], "there is nothing to collect"

    @pytest.mark.parametrize("found", ["v2", ""], ids=["another version", "no marker"])
    def test_a_database_that_was_replaced_is_not_searched(
        self, blast: Blast, storage: Storage, tmp_path: Path, found: str
    ) -> None:
        marker = tmp_path / ".warm-02-00"
        if found:
            marker.write_text(found)
        done = blast(ELB_MARKER=str(marker), ELB_SOURCE_VERSION="v1")
        assert done.returncode == 71
        assert "not of version v1 any more" in done.stdout
        assert "run:" not in done.stdout
        assert storage.asked("PUT") == []

    def test_one_of_the_right_version_is(self, blast: Blast, tmp_path: Path) -> None:
        marker = tmp_path / ".warm-02-00"
        marker.write_text("v1")
        assert blast(ELB_MARKER=str(marker), ELB_SOURCE_VERSION="v1").returncode == 0

    @pytest.mark.parametrize("end", [0, 2])
    def test_what_was_found_while_it_was_replaced_is_not_uploaded(
        self, blast: Blast, storage: Storage, tmp_path: Path, end: int
    ) -> None:
        marker, program = tmp_path / ".warm-02-00", tmp_path / "slow"
        marker.write_text("v1")
        executable(program, f'#!/bin/bash\nrm "{marker}"; touch result.out; exit {end}\n')
        assert blast(command=[str(program)], ELB_MARKER=str(marker), ELB_SOURCE_VERSION="v1").returncode == 71
        assert storage.asked("PUT") == []

    def test_a_program_that_is_not_there(self, blast: Blast) -> None:
        assert blast(command=["/nonexistent/blastn"]).returncode == 70

    @pytest.mark.parametrize("missing", ["ELB_QUERY_URL", "ELB_RESULT_URL"])
    def test_a_missing_setting_is_not_a_bad_query(self, blast: Blast, missing: str) -> None:
        assert blast(**{missing: ""}).returncode == 70

    def test_no_command(self, blast: Blast) -> None:
        assert blast(command=[]).returncode == 70

    def test_no_work_folder(self, blast: Blast) -> None:
        assert blast(ELB_WORK="/nonexistent").returncode == 70

    @pytest.mark.parametrize(("status", "code"), [(401, 65), (403, 65), (404, 64), (409, 64)])
    def test_a_download_that_is_refused_is_not_asked_for_again(
        self, blast: Blast, storage: Storage, status: int, code: int
    ) -> None:
        storage.answers["GET /queries/q.gz"] = [status]
        done = blast()
        assert done.returncode == code
        assert f"HTTP {status}" in done.stdout
        assert len(storage.requests) == 1

    @pytest.mark.proves("T6")
    @pytest.mark.parametrize(
        ("said", "code"),
        [
            ("AuthorizationPermissionMismatch", "storage_role_missing"),
            ("AuthorizationFailure", "storage_firewall"),
            ("AuthenticationFailed", "storage_denied"),
            ("", "storage_denied"),
        ],
    )
    def test_the_log_tells_a_missing_role_from_a_firewall(
        self, blast: Blast, storage: Storage, said: str, code: str
    ) -> None:
        storage.error_code = said
        storage.answers["GET /queries/q.gz"] = [403]
        done = blast()
        refused = Failure("storage_denied", "the storage account refused the node in Job j", "", "j", "p", 65)
        assert (done.returncode, told_by_log(refused, done.stdout).code) == (65, code)

    @pytest.mark.parametrize("trouble", [503, 299], ids=["busy", "cut"])
    def test_a_download_that_fails_in_passing_is_tried_again(
        self, blast: Blast, storage: Storage, trouble: int
    ) -> None:
        storage.answers["GET /queries/q.gz"] = [trouble]
        assert blast().returncode == 0
        assert len(storage.asked("GET")) == 2
        assert gzip.decompress(storage.blobs["/results/r.gz"]) == QUERY

    def test_a_batch_that_is_not_gzip(self, blast: Blast, storage: Storage) -> None:
        storage.blobs["/queries/q.gz"] = b"<html>proxy</html>"
        assert blast().returncode == 64

    def test_an_empty_result_is_a_result(self, blast: Blast, storage: Storage) -> None:
        storage.blobs["/queries/q.gz"] = gzip.compress(b"")
        assert blast().returncode == 0
        assert gzip.decompress(storage.blobs["/results/r.gz"]) == b""
        assert len(storage.blobs["/results/r.gz"]) >= 20, "the results gate takes nothing smaller"

    @pytest.mark.parametrize(("status", "code"), [(403, 65), (404, 74), (409, 74), (400, 74)])
    def test_an_upload_that_is_refused(self, blast: Blast, storage: Storage, status: int, code: int) -> None:
        storage.answers["PUT /results/r.gz"] = [status]
        assert blast().returncode == code
        assert storage.asked("POST") == []

    def test_an_upload_that_fails_in_passing_is_tried_again_whole(self, blast: Blast, storage: Storage) -> None:
        storage.answers["PUT /results/r.gz"] = [500]
        assert blast().returncode == 0
        assert gzip.decompress(storage.blobs["/results/r.gz"]) == QUERY

    @pytest.mark.parametrize("status", [401, 404, 500])
    def test_a_refused_call_back_does_no_harm(self, blast: Blast, storage: Storage, status: int) -> None:
        storage.answers["POST /notify"] = [status]
        assert blast().returncode == 0

    def test_nobody_to_call_back(self, blast: Blast, storage: Storage) -> None:
        done = blast(ELB_CALLBACK_URL="http://127.0.0.1:1/notify")
        assert done.returncode == 0
        assert "call-back not delivered" in done.stdout

    def test_arguments_reach_blast_as_they_are(self, blast: Blast, tmp_path: Path) -> None:
        seen = tmp_path / "seen"
        program = tmp_path / "show"
        executable(program, f'#!/bin/bash\nprintf "%s\\n" "$@" >"{seen}"\ntouch result.out\n')
        words = ["-dust", "20 64 1", "$(touch hacked)", "; exit 3", "*"]
        assert blast(command=[str(program), *words]).returncode == 0
        assert seen.read_text().splitlines() == [*words, "-query", "query.fa", "-out", "result.out"]
