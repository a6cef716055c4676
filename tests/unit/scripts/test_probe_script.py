"""``probe.sh``, run for real with the real vmtouch: what it counts, and that it ends when it is told to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.domain.residency import DatabaseResidency, NodeResidency, read_probe
from tests.unit.scripts.support import SCRIPTS, executable, needs

PAGE = os.sysconf("SC_PAGE_SIZE")


@needs("vmtouch")
class TestProbe:
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        """A node's disk with a database of two files, in two shards that share one of them."""
        folder = tmp_path / "blastdb" / "db"
        folder.mkdir(parents=True)
        for name, size in (("db.00.nsq", 10 * PAGE + 5), ("db.01.nsq", 20 * PAGE), ("db.ndb", PAGE)):
            with (folder / name).open("wb") as file:
                file.write(b"x" * size)
                os.fsync(file.fileno())  # only what is on the disk can be pushed out of memory
        for shard in (0, 1):
            (folder / f".files-02-{shard:02d}").write_text(f"db.{shard:02d}.nsq\ndb.ndb\n")
            (folder / f".warm-02-{shard:02d}").write_text("2024-05-24-abcdef01")
        return folder.parent

    def lines(self, root: Path, seconds: str = "60", count: int = 1, path: str = "") -> list[str]:
        """The first lines that the probe prints; then it is told to end."""
        env = {"PATH": f"{path}:{os.environ['PATH']}", "ELB_ROOT": str(root), "ELB_PROBE_SECONDS": seconds}
        command = ["bash", "-c", (SCRIPTS / "probe.sh").read_text()]
        with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as probe:
            assert probe.stdout is not None
            assert probe.stderr is not None
            found = [probe.stdout.readline() for _ in range(count)]
            begun = time.monotonic()
            probe.send_signal(signal.SIGTERM)
            assert probe.wait(15) == 0
            assert time.monotonic() - begun < 10, "it does not sleep to its end"
            probe.stdout.close()
            assert probe.stderr.read() == ""
        return found

    def measure(self, root: Path, path: str = "") -> NodeResidency:
        """What the first line says, as the product reads it."""
        found = read_probe(self.lines(root, path=path)[0], datetime.now(UTC))
        assert isinstance(found, NodeResidency), found
        return found

    def database(self, root: Path) -> DatabaseResidency:
        """The one database."""
        return self.measure(root).databases["db"]

    def test_all_in_memory(self, root: Path) -> None:
        subprocess.run(["vmtouch", "-qt", str(root)], check=True)
        found = self.database(root)
        sizes = [sum(f.stat().st_size for f in (root / "db").glob(pattern)) for pattern in ("*", "db.0[0]*", "db.ndb")]
        everything = sum(f.stat().st_size for f in (root / "db").iterdir())
        assert (found.bytes, found.resident_bytes) == (everything, everything)
        shard = found.shards[2, 0]
        assert (shard.bytes, shard.resident_bytes) == (sizes[1] + sizes[2], sizes[1] + sizes[2])
        assert (shard.missing, shard.version) == (0, "2024-05-24-abcdef01")

    def test_one_shard_pushed_out(self, root: Path) -> None:
        subprocess.run(["vmtouch", "-qt", str(root)], check=True)
        subprocess.run(["vmtouch", "-qe", str(root / "db" / "db.01.nsq")], check=True)
        found = self.database(root)
        assert found.shards[2, 0].resident_bytes == found.shards[2, 0].bytes
        assert (found.shards[2, 1].bytes, found.shards[2, 1].resident_bytes) == (21 * PAGE, PAGE)
        assert found.shards[2, 1].is_resident is False

    def test_a_file_that_is_gone(self, root: Path) -> None:
        (root / "db" / "db.01.nsq").unlink()
        found = self.database(root).shards
        assert (found[2, 1].missing, found[2, 1].bytes) == (1, PAGE)
        assert found[2, 0].missing == 0

    def test_a_shard_counts_once_its_marker_is_there(self, root: Path) -> None:
        (root / "db" / ".warm-02-01").unlink()
        (root / "db" / ".files-02-00").unlink()
        assert self.database(root).shards == {}

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda root: (root / 'a"b').mkdir(),
            lambda root: (root / "a b").mkdir(),
            lambda root: (root / "db" / ".warm-xx-yy").write_text("v"),
            lambda root: (root / "db" / ".warm-02-01.new").write_text("v"),
            lambda root: (root / "db" / ".warm-02-00").write_text('v"1'),
            lambda root: (root / "file").write_text("no folder"),
        ],
    )
    def test_what_others_left_there_does_not_break_the_line(self, root: Path, spoil: Callable[[Path], object]) -> None:
        spoil(root)
        found = self.measure(root).databases
        assert list(found) == ["db"]
        assert set(found["db"].shards) == {(2, 0), (2, 1)}

    def test_a_node_without_databases(self, tmp_path: Path) -> None:
        assert self.measure(tmp_path / "none").databases == {}
        assert self.measure(tmp_path).databases == {}

    def test_what_takes_too_long_is_not_known(self, root: Path, tmp_path: Path) -> None:
        fakes = tmp_path / "fakes"
        fakes.mkdir()
        executable(fakes / "timeout", "#!/bin/sh\nexit 124\n")
        found = self.measure(root, path=str(fakes)).databases["db"]
        assert (found.resident_bytes, found.shards[2, 0].resident_bytes) == (None, None)
        assert found.shards[2, 0].bytes == 11 * PAGE + 5

    def test_one_whole_line_a_time(self, root: Path) -> None:
        first, second = self.lines(root, "0.2", 2)
        times = [datetime.fromisoformat(json.loads(line)["at"]) for line in (first, second)]
        assert 0.2 <= (times[1] - times[0]).total_seconds() < 5
