"""``clean.sh``, run for real: it removes exactly one database's folder, and nothing that only looks like one."""

from __future__ import annotations

import json
import mmap
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.scripts.support import SCRIPTS, executable, needs

MARKER = "ELB_CLEAN "
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A node's folder of databases, with two of them."""
    for name in ("tiny", "other"):
        (tmp_path / "blastdb" / name).mkdir(parents=True)
        (tmp_path / "blastdb" / name / f"{name}.00.nsq").write_bytes(os.urandom(50_000))
    return tmp_path / "blastdb"


@pytest.fixture
def clean(root: Path) -> Run:
    """Run the script for one database."""

    def run(database: str, **environ: str) -> subprocess.CompletedProcess[str]:
        env = {"PATH": os.environ["PATH"], "ELB_ROOT": str(root), "ELB_DB": database, **environ}
        command = ["bash", str(SCRIPTS / "clean.sh")]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=30)

    return run


def report(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """What the script says is left."""
    [line] = [line for line in done.stdout.splitlines() if line.startswith(MARKER)]
    parsed: dict[str, Any] = json.loads(line[len(MARKER) :])
    return parsed


@pytest.fixture
def mapped(root: Path) -> Iterator[None]:
    """A process that holds a file of the database in memory."""
    with (root / "tiny" / "tiny.00.nsq").open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as held:
        assert held[:] is not None
        yield


@needs("vmtouch")
class TestClean:
    """``clean.sh``: the folder goes with its pages, other databases stay."""

    @pytest.mark.proves("W6")
    def test_the_folder_is_gone_and_others_stay(self, clean: Run, root: Path) -> None:
        done = clean("tiny")
        assert done.returncode == 0, done.stdout
        told = report(done)
        assert told["removed_bytes"] >= 50_000
        assert (told["left_bytes"], told["resident_bytes"], told["gone"]) == (0, 0, True)
        assert [path.name for path in root.iterdir()] == ["other"]
        assert (root / "other" / "other.00.nsq").stat().st_size == 50_000

    def test_twice_is_once(self, clean: Run) -> None:
        clean("tiny")
        done = clean("tiny")
        assert done.returncode == 0
        assert report(done) == {"removed_bytes": 0, "left_bytes": 0, "resident_bytes": 0, "gone": True}

    @pytest.mark.usefixtures("mapped")
    def test_what_a_process_holds_is_told(self, clean: Run) -> None:
        assert report(clean("tiny"))["resident_bytes"] >= 49_152

    def test_what_is_held_for_a_moment_is_waited_for(self, clean: Run, tmp_path: Path) -> None:
        fakes = tmp_path / "fakes"
        fakes.mkdir()
        # The first two times that it is asked, one page is resident.
        count = tmp_path / "count"
        executable(
            fakes / "vmtouch",
            f'#!/bin/sh\n[ "$1" = -qe ] && exit 0\necho x >>{count}\n'
            f"[ $(wc -l <{count}) -gt 2 ] && pages=0 || pages=1\n"
            'echo "  Resident Pages: $pages/9  4K/36K  0%"\n',
        )
        told = report(clean("tiny", PATH=f"{fakes}:{os.environ['PATH']}"))
        assert (told["gone"], told["resident_bytes"]) == (True, 0)
        assert len(count.read_text().splitlines()) == 3

    @pytest.mark.parametrize(
        "name", ["", ".", "..", "../blastdb", "tiny/..", "/", "tiny/", "a b", "-rf", "*", "x" * 61]
    )
    def test_anything_but_a_name_is_refused(self, clean: Run, root: Path, name: str) -> None:
        done = clean(name)
        assert done.returncode == 78
        assert {path.name for path in root.iterdir()} == {"tiny", "other"}

    def test_a_link_is_not_followed(self, clean: Run, root: Path, tmp_path: Path) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "keep").write_text("x")
        (root / "link").symlink_to(elsewhere)
        assert clean("link").returncode == 78
        assert (elsewhere / "keep").exists()

    def test_a_link_inside_goes_without_what_it_points_to(self, clean: Run, root: Path, tmp_path: Path) -> None:
        kept = tmp_path / "keep"
        kept.write_text("x")
        (root / "tiny" / "link").symlink_to(kept)
        assert clean("tiny").returncode == 0
        assert kept.exists()

    def test_a_file_is_no_database(self, clean: Run, root: Path) -> None:
        (root / "file").write_text("x")
        assert clean("file").returncode == 78
        assert (root / "file").exists()

    def test_what_cannot_be_removed_is_told(self, clean: Run, tmp_path: Path) -> None:
        fakes = tmp_path / "fakes"
        fakes.mkdir()
        executable(fakes / "rm", "#!/bin/sh\nexit 1\n")
        done = clean("tiny", PATH=f"{fakes}:{os.environ['PATH']}")
        assert done.returncode == 70
        assert (report(done)["gone"], report(done)["left_bytes"] >= 50_000) == (False, True)
