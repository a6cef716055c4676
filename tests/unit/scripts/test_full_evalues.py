"""How a Job gets a table with the E-values of BLAST's archive, and what it does where that does not work out.

The programs are stand-ins; ``tests/e2e/exactness`` has the real ones.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.scripts.support import executable, job_functions

ARCHIVE = """          {{
            id str "score",
            value int 50
          }},
          {{
            id str "{name}",
            value real {{ {mantissa}, 10, {exponent} }}
          }},
          title "a protein with id str ""e_value"", in its title",
"""
DIRECT = "table of BLAST itself"

type Search = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def search(tmp_path: Path) -> Search:
    """Run the command in ``tmp_path`` with programs that write what the test says; each call is in ``calls``."""
    (tmp_path / "bin").mkdir()

    def run(
        archive: str,
        table: str,
        outfmt: str = "6 std",
        *,
        asked: str = "yes",
        blast: int = 0,
        formatter: int | None = 0,
    ) -> subprocess.CompletedProcess[str]:
        (tmp_path / "given.asn").write_text(archive)
        (tmp_path / "given.out").write_text(table)
        executable(
            tmp_path / "bin" / "blastp",
            '#!/bin/bash\necho "$0 $*" >>calls\n'
            "while (($#)); do case $1 in -outfmt) outfmt=$2;; -out) out=$2;; esac; shift; done\n"
            f'if [[ $outfmt == 11 ]]; then cp given.asn "$out"; else echo "{DIRECT}" >"$out"; fi\nexit {blast}\n',
        )
        if formatter is not None:
            executable(
                tmp_path / "bin" / "blast_formatter",
                '#!/bin/bash\necho "$0 $*" >>calls\n'
                "while (($#)); do case $1 in -out) out=$2;; esac; shift; done\n"
                f'cp given.out "$out"\nexit {formatter}\n',
            )
        command = ["blastp", "-db", "db", "-outfmt", outfmt, "-max_target_seqs", "7", "-task", "blastp"]
        env = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "ELB_FULL_EVALUES": asked}
        if formatter is None:
            env["PATH"] = f"{tmp_path / 'bin'}"
            for name in ("bash", "cat", "cp", "sed", "awk", "rm"):
                (tmp_path / "bin" / name).symlink_to(f"/usr/bin/{name}")
        return subprocess.run(
            ["/usr/bin/bash", "-c", f'{job_functions()}\nsearch "$@"', "search", *command],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=30,
        )

    return run


def archive(*numbers: tuple[int, int], name: str = "e_value") -> str:
    return "".join(ARCHIVE.format(name=name, mantissa=mantissa, exponent=exponent) for mantissa, exponent in numbers)


def result(tmp_path: Path) -> str:
    return (tmp_path / "result.out").read_text()


def test_each_row_gets_its_own(search: Search, tmp_path: Path) -> None:
    done = search(archive((120120924439112, -17), (0, 0)) + archive((5, -3), name="sum_e"), "q\ta\nq\tb\nq\tc\n")
    assert done.returncode == 0, done.stderr
    assert result(tmp_path) == "q\ta\t120120924439112e-17\nq\tb\t0e0\nq\tc\t5e-3\n"
    blastp, formatter = (tmp_path / "calls").read_text().splitlines()
    assert blastp.endswith("-db db -outfmt 11 -max_target_seqs 7 -task blastp -query query.fa -out archive.asn")
    assert formatter.endswith("-archive archive.asn -outfmt 6 std -max_target_seqs 7 -out table.out")


def test_no_hits(search: Search, tmp_path: Path) -> None:
    assert search("", "").returncode == 0
    assert result(tmp_path) == ""


def test_comments_have_none_and_are_closed_once(search: Search, tmp_path: Path) -> None:
    """A row may begin like a comment; an archive of several parts has a closing line for each."""
    table = (
        "# BLASTP\n# Query: a\n# 2 hits found\n# a title\n# BLAST processed 9 queries\n"
        "# BLAST processed 1 queries\n# BLASTP\n# Query: b\n# 0 hits found\n# BLAST processed 1 queries\n"
    )
    search(archive((1, -5), (2, -5)), table, "7 stitle")
    assert result(tmp_path) == (
        "# BLASTP\n# Query: a\n# 2 hits found\n# a title\t1e-5\n# BLAST processed 9 queries\t2e-5\n"
        "# BLASTP\n# Query: b\n# 0 hits found\n# BLAST processed 2 queries\n"
    )


@pytest.mark.parametrize(
    ("numbers", "formatter"),
    [([(1, -5)], 0), ([(1, -5)] * 3, 0), ([(1, -5)] * 2, 1), ([(1, -5)] * 2, 137), ([(1, -5)] * 2, None)],
    ids=["too few", "too many", "the formatter fails", "it is killed", "it is not there"],
)
def test_otherwise_blast_runs_again(
    search: Search, tmp_path: Path, numbers: list[tuple[int, int]], formatter: int | None
) -> None:
    done = search(archive(*numbers), "q\ta\nq\tb\n", formatter=formatter)
    assert done.returncode == 0
    assert result(tmp_path) == f"{DIRECT}\n"
    assert "BLAST runs again" in done.stdout


def test_who_does_not_ask_for_them_gets_the_table_as_it_is(search: Search, tmp_path: Path) -> None:
    search(archive((1, -5)), "q\ta\n", asked="")
    assert result(tmp_path) == f"{DIRECT}\n"
    assert "-outfmt 6 std " in (tmp_path / "calls").read_text()


def test_blast_s_own_exit_code_is_the_job_s(search: Search, tmp_path: Path) -> None:
    assert search("", "", blast=2).returncode == 2
    assert len((tmp_path / "calls").read_text().splitlines()) == 1, "a bad database is bad the second time, too"
