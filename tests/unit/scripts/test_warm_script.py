"""``warm.sh``, run for real: its exit codes, what it prints, and what it leaves behind.

AzCopy and the pauses between tries are small stand-ins on ``PATH``; blastdbcheck, blastdbcmd and vmtouch are the real
ones.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shared.domain.shard_phases import MARKER, parse_log
from tests.unit.scripts.support import SCRIPTS, SIGNATURE, executable, needs


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
    reset)
        mkdir -p "$AZCOPY_LOG_LOCATION"
        echo "==> REQUEST/RESPONSE (Try=1/27ms, OpTime=28ms) -- REQUEST ERROR" >"$AZCOPY_LOG_LOCATION/1.log"
        cp "$FAKE_SOURCE"/* "$3"/
        ;;
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

    def incidents(self, done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
        """What went wrong, in order."""
        start = "ELB_INCIDENT "
        return [json.loads(line[len(start) :]) for line in done.stdout.splitlines() if line.startswith(start)]

    def test_a_disk_without_room_is_told_before_anything_is_copied(self, node: Node, tmp_path: Path) -> None:
        executable(tmp_path / "fakes" / "df", "#!/bin/sh\necho Avail\necho 3\n")
        done = node.run()
        assert done.returncode == 68
        assert node.azcopy_calls == []
        assert [i["cause"] for i in self.incidents(done)] == ["disk_full"]
        assert self.last(done)["message"].endswith("the node's disk has 3 free")

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
        names = sorted(path.name for path in database.iterdir())
        assert {path.name for path in node.folder.iterdir()} == {*names, node.marker.name, ".files-02-01"}
        assert sorted((node.folder / ".files-02-01").read_text().splitlines()) == names
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

    def test_no_marker_of_before_outlives_its_files(self, node: Node) -> None:
        """Of another shard or layout: its files may be among those that are overwritten, and searches go by it."""
        node.run()
        old, same = node.folder / ".warm-03-02", node.folder / ".warm-03-01"
        old.write_text("v1")
        same.write_text("v2")
        assert node.run(ELB_SOURCE_VERSION="v2").returncode == 0
        assert (old.exists(), same.read_text()) == (False, "v2")

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

    def test_a_connection_that_azcopy_made_again_is_told(self, node: Node) -> None:
        done = node.run("reset")
        assert done.returncode == 0
        assert [(i["cause"], i["try"]) for i in self.incidents(done)] == [("connection_lost", 1)]
        assert len(node.azcopy_calls) == 1

    def test_a_role_that_acts_in_the_end_is_a_success(self, node: Node) -> None:
        done = node.run("AuthorizationPermissionMismatch", "AuthorizationPermissionMismatch")
        assert done.returncode == 0
        assert "try 2: storage_role_missing: the role" in done.stdout
        assert [(i["try"], i["cause"]) for i in self.incidents(done)] == [
            (1, "storage_role_missing"),
            (2, "storage_role_missing"),
        ]
        assert self.last(done)["phase"] == "completed"

    def test_leftovers_of_before_go_and_what_other_shards_copy_stays(self, node: Node) -> None:
        node.folder.mkdir()
        (node.folder / ".azDownload-0-tiny.00.nsq").write_text("x")
        (node.folder / ".azDownload-0-tiny.01.nsq").write_text("x")
        node.run()
        assert {path.name for path in node.folder.glob(".azDownload-*")} == {".azDownload-0-tiny.01.nsq"}

    @pytest.mark.parametrize(
        ("mode", "code", "tries", "cause"),
        [
            ("AuthorizationPermissionMismatch", 65, 3, "storage_role_missing: the role on"),
            ("AuthorizationFailure", 69, 1, "storage_firewall: the firewall"),
            ("write x: no space left on device", 68, 1, "disk_full: the node's disk was full"),
            ("ServerBusy", 64, 3, "download_failed: AzCopy ended with exit code 1"),
            ("cut", 64, 3, "download_failed: files are missing or incomplete after the copy"),
        ],
    )
    @pytest.mark.proves("W4")
    def test_after_its_tries_it_says_why(self, node: Node, mode: str, code: int, tries: int, cause: str) -> None:
        done = node.run(mode, mode, mode, mode)
        assert done.returncode == code
        assert len(node.azcopy_calls) == tries
        told = self.incidents(done)
        assert [i["try"] for i in told] == list(range(1, tries + 1))
        assert {f"{i['cause']}: {i['message']}" for i in told} == {self.last(done)["message"]}
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
