"""The scripts of the pods, run for real: their exit codes, what they print, and what they leave behind.

BLAST, AzCopy and the pauses between tries are small stand-ins on ``PATH``; curl, blastdbcheck, blastdbcmd and vmtouch
are the real ones, storage is a server in this process.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from shared.domain.warmth import MARKER, parse_log
from shared.scripts import load_scripts

SCRIPTS = Path(__file__).resolve().parents[2] / "shared" / "scripts"
SIGNATURE = "sig=hush%2Fhush"
QUERY = b">q\nACGT\n"


def needs(*programs: str) -> pytest.MarkDecorator:
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def executable(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


@dataclass
class Storage:
    """A server that answers as it is told to, in order; then with what it holds."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    answers: dict[str, list[int]] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

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


def test_every_script_is_shipped_and_is_bash() -> None:
    scripts = load_scripts()
    assert set(scripts) >= {"blast.sh", "warm.sh"}
    for name, text in scripts.items():
        assert text.startswith("#!/bin/bash\n"), name
        assert subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True).returncode == 0, name


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
        ("end", "code"),
        [*((str(code), code) for code in range(1, 7)), ("7", 70), ("64", 70), ("127", 70), ("255", 70), ("kill", 4)],
    )
    def test_only_blast_s_own_codes_leave_as_1_to_6(self, blast: Blast, storage: Storage, end: str, code: int) -> None:
        done = blast(end)
        assert done.returncode == code
        assert "BLAST ended with exit code" in done.stdout
        assert storage.asked("PUT") == []
        assert storage.asked("POST") == [], "there is nothing to collect"

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


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as storage has it: a tiny database, its shard's alias and the taxonomy that blastdbcheck looks for."""
    folder = tmp_path_factory.mktemp("storage")
    command = ["makeblastdb", "-dbtype", "nucl", "-title", "tiny", "-out", str(folder / "tiny.00")]
    text = ">a\n" + "ACGTTGCA" * 20 + "\n"
    subprocess.run(command, input=text, text=True, capture_output=True, check=True)
    # One taxon, 9606, which is the one that blastdbcheck looks up whatever the database holds.
    (folder / "taxdb.btd").write_bytes(b"Homo sapiens\thuman\tprimates\tE")
    (folder / "taxdb.bti").write_bytes(struct.pack(">II4III", 0x8739, 1, 0, 0, 0, 0, 9606, 0))
    (folder / "tiny_02_01.nal").write_text('TITLE tiny\nDBLIST "tiny.00"\nSTATS_NSEQ 100\nSTATS_TOTLEN 100000\n')
    return folder


@dataclass
class Node:
    """A node's disk and what was asked of AzCopy there."""

    folder: Path
    run: Callable[..., subprocess.CompletedProcess[str]]
    calls: Path

    @property
    def marker(self) -> Path:
        return self.folder / ".warm-02-01"

    @property
    def azcopy_calls(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []


AZCOPY = """#!/bin/bash
echo "$*" >>"$FAKE_CALLS"
try=$(wc -l <"$FAKE_CALLS")
mode=$(sed -n "${try}p" <<<"$FAKE_MODES")
case ${mode:-ok} in
    ok) cp "$FAKE_SOURCE"/* "$3"/ ;;
    cut) cp "$FAKE_SOURCE"/* "$3"/; for f in "$3"/*.nsq; do head -c 3 "$f" >"$f.x"; mv "$f.x" "$f"; done ;;
    leftover) touch "$3/.azDownload-1-tiny.00.nsq" "$3/.azDownload-1-tiny.01.nsq"; exit 1 ;;
    *) echo "failed: GET $2"; echo "RESPONSE 403: $mode"; exit 1 ;;
esac
"""


@needs("blastdbcheck", "blastdbcmd", "makeblastdb", "vmtouch")
class TestWarm:
    """``warm.sh``: bring a shard onto the disk, check it, touch it, and only then say so."""

    @pytest.fixture
    def node(self, tmp_path: Path, database: Path) -> Node:
        root, fakes, scratch = (tmp_path / name for name in ("blastdb", "fakes", "scratch"))
        for folder in (root, fakes, scratch):
            folder.mkdir()
        executable(fakes / "azcopy", AZCOPY)
        executable(fakes / "sleep", "#!/bin/sh\nexec /bin/sleep 0.02\n")
        calls = tmp_path / "calls"
        files = "\n".join(f"{path.stat().st_size} {path.name}" for path in sorted(database.iterdir()))

        def run(*modes: str, **environ: str) -> subprocess.CompletedProcess[str]:
            env = {
                "PATH": f"{fakes}:{os.environ['PATH']}",
                "TMPDIR": str(scratch),
                "FAKE_SOURCE": str(database),
                "FAKE_CALLS": str(calls),
                "FAKE_MODES": "\n".join(modes),
                "ELB_ROOT": str(root),
                "ELB_DB": "tiny",
                "ELB_DBTYPE": "nucl",
                "ELB_SHARD": "01",
                "ELB_LAYOUT": "02",
                "ELB_ALIAS": "tiny_02_01",
                "ELB_VOLUMES": "tiny.00",
                "ELB_SOURCE_VERSION": "v1",
                "ELB_SOURCE_URL": f"https://account.blob/blast-db?{SIGNATURE}",
                "ELB_FILES": files,
                "ELB_TOUCH_LIMIT_BYTES": "0",
                **environ,
            }
            done = subprocess.run(
                ["bash", str(SCRIPTS / "warm.sh")], env=env, capture_output=True, text=True, timeout=30
            )
            assert "hush" not in done.stdout + done.stderr, "signatures are not for logs"
            return done

        return Node(root / "tiny", run, calls)

    def phases(self, done: subprocess.CompletedProcess[str]) -> list[str]:
        """The phases in order, each once."""
        markers = [json.loads(line[len(MARKER) :]) for line in done.stdout.splitlines() if line.startswith(MARKER)]
        names = [marker["phase"] for marker in markers]
        return [name for i, name in enumerate(names) if i == 0 or names[i - 1] != name]

    def last(self, done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
        marker, _ = parse_log(done.stdout)
        assert marker is not None
        return dict(marker)

    def test_from_nothing(self, node: Node, database: Path) -> None:
        done = node.run()
        assert done.returncode == 0, done.stdout
        assert self.phases(done) == ["starting", "copying_files", "verifying_db", "touching_memory", "completed"]
        total = sum(path.stat().st_size for path in database.iterdir())
        assert (self.last(done)["done"], self.last(done)["total"]) == (total, total)
        assert done.stdout.splitlines()[-1].endswith(" DONE")
        assert {path.name for path in node.folder.iterdir()} == {p.name for p in database.iterdir()} | {
            node.marker.name
        }
        assert node.marker.read_text() == "v1"
        (call,) = node.azcopy_calls
        assert f"https://account.blob/blast-db/tiny/*?{SIGNATURE} {node.folder}" in call

    def test_on_disk_already(self, node: Node) -> None:
        node.run()
        done = node.run()
        assert done.returncode == 0
        assert "0 bytes downloaded" in done.stdout
        assert len(node.azcopy_calls) == 1
        assert self.phases(done) == ["starting", "verifying_db", "touching_memory", "completed"]

    @pytest.mark.parametrize("content", ["v0", "v1\nx", "V1", "", "*"])
    def test_a_marker_that_does_not_match_means_a_new_download(self, node: Node, content: str) -> None:
        node.run()
        node.marker.write_text(content)
        assert node.run().returncode == 0
        assert len(node.azcopy_calls) == 2
        assert node.marker.read_text() == "v1"

    def test_another_source_version_means_a_new_download(self, node: Node) -> None:
        node.run()
        assert node.run(ELB_SOURCE_VERSION="v2").returncode == 0
        assert (len(node.azcopy_calls), node.marker.read_text()) == (2, "v2")

    def test_a_file_that_was_lost_means_a_new_download(self, node: Node) -> None:
        node.run()
        (node.folder / "tiny.00.nsq").unlink()
        assert node.run().returncode == 0
        assert len(node.azcopy_calls) == 2

    def test_another_shard_has_a_marker_of_its_own(self, node: Node) -> None:
        node.run()
        node.run(ELB_SHARD="00")
        assert len(node.azcopy_calls) == 2
        assert (node.folder / ".warm-02-00").read_text() == node.marker.read_text() == "v1"

    @pytest.mark.parametrize("mode", ["cut", "leftover", "ServerBusy"])
    def test_a_broken_copy_is_tried_again(self, node: Node, mode: str) -> None:
        done = node.run(mode)
        assert done.returncode == 0, done.stdout
        assert len(node.azcopy_calls) == 2
        assert "try 1: download_failed" in done.stdout
        assert not (node.folder / ".azDownload-1-tiny.00.nsq").exists()

    def test_a_role_that_acts_in_the_end_is_a_success(self, node: Node) -> None:
        done = node.run("AuthorizationPermissionMismatch", "AuthorizationPermissionMismatch")
        assert done.returncode == 0
        assert "try 2: storage_denied: the role" in done.stdout
        assert self.last(done)["phase"] == "completed"

    def test_leftovers_of_before_go_and_what_other_shards_copy_stays(self, node: Node) -> None:
        node.folder.mkdir()
        (node.folder / ".azDownload-0-tiny.00.nsq").write_text("x")
        (node.folder / ".azDownload-0-tiny.01.nsq").write_text("x")
        node.run()
        assert {path.name for path in node.folder.glob(".azDownload-*")} == {".azDownload-0-tiny.01.nsq"}

    @pytest.mark.parametrize(
        ("mode", "cause"),
        [
            ("AuthorizationPermissionMismatch", "storage_denied: the role is missing"),
            ("AuthorizationFailure", "storage_denied: the firewall"),
            ("ServerBusy", "download_failed: AzCopy ended with exit code 1"),
            ("cut", "download_failed: files are missing or incomplete after the copy"),
        ],
    )
    def test_after_three_tries_it_says_why(self, node: Node, mode: str, cause: str) -> None:
        done = node.run(mode, mode, mode, mode)
        assert done.returncode == 64
        assert len(node.azcopy_calls) == 3
        assert self.last(done)["phase"] == "failed"
        assert self.last(done)["during"] == "copying_files"
        assert self.last(done)["message"].startswith(cause)
        assert not node.marker.exists()

    def test_a_bad_database_is_told_and_leaves_no_marker(self, node: Node) -> None:
        node.run()
        (node.folder / "tiny.00.nin").write_bytes(b"\x00" * (node.folder / "tiny.00.nin").stat().st_size)
        done = node.run()
        assert done.returncode == 66
        assert self.last(done)["message"].startswith("bad_database: ")
        assert self.last(done)["during"] == "verifying_db"
        assert not node.marker.exists()
        assert node.run().returncode == 0, "without the marker it is downloaded anew"

    def test_a_volume_that_is_not_there(self, node: Node) -> None:
        assert node.run(ELB_VOLUMES="tiny.00 tiny.07").returncode == 66

    def test_without_taxonomy_the_volumes_are_opened_all_the_same(self, node: Node, database: Path) -> None:
        files = [path for path in sorted(database.iterdir()) if not path.name.startswith("taxdb")]
        names = "\n".join(f"{path.stat().st_size} {path.name}" for path in files)
        source = node.folder.parent / "source"
        source.mkdir()
        for path in files:
            shutil.copy(path, source)
        assert node.run(ELB_FILES=names, FAKE_SOURCE=str(source)).returncode == 0
        (node.folder / "tiny.00.nin").write_bytes(b"\x00" * (node.folder / "tiny.00.nin").stat().st_size)
        assert node.run(ELB_FILES=names, FAKE_SOURCE=str(source)).returncode == 66

    def test_more_than_the_node_may_hold(self, node: Node, database: Path) -> None:
        total = sum(path.stat().st_size for path in database.iterdir())
        done = node.run(ELB_TOUCH_LIMIT_BYTES=str(total - 1))
        assert done.returncode == 67
        assert self.last(done)["message"] == f"node_memory_full: {total} bytes do not fit in {total - 1} bytes of cache"
        assert not node.marker.exists()
        assert node.run(ELB_TOUCH_LIMIT_BYTES=str(total)).returncode == 0

    def test_the_marker_is_written_last(self, node: Node, tmp_path: Path) -> None:
        executable(
            tmp_path / "fakes" / "vmtouch",
            f'#!/bin/sh\ntest -e "{node.marker}" && echo early >>"{tmp_path}/order"\nexit 0\n',
        )
        done = node.run()
        assert done.returncode == 0
        assert not (tmp_path / "order").exists()
        assert node.marker.exists()

    def test_what_cannot_be_touched_is_not_warm(self, node: Node, tmp_path: Path) -> None:
        executable(tmp_path / "fakes" / "vmtouch", "#!/bin/sh\nexit 1\n")
        done = node.run()
        assert (done.returncode, self.last(done)["during"]) == (70, "touching_memory")
        assert not node.marker.exists()
