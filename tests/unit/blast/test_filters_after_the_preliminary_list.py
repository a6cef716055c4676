"""What ``docs/search-exactness.md`` says of filters and the preliminary list, seen in BLAST itself.

``-perc_identity`` and ``-qcov_hsp_perc`` are applied to the subjects that are left when BLAST has cut its preliminary
list: where the best of those are too unlike or too short, a small ``-max_target_seqs`` prints less than there is.
"""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

LETTERS = "ACGT"
SUBJECTS = 80
"""Of a kind: more than the preliminary list has for k = 5, which is k + 50."""


def changed(sequence: str, share: float, dice: random.Random) -> str:
    """A sequence of which a share of the letters is another one."""
    return "".join(dice.choice(LETTERS.replace(letter, "")) if dice.random() < share else letter for letter in sequence)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A query, and a database of subjects: ``part`` of the query scores most, ``whole`` less, ``alike`` least."""
    made, dice = tmp_path_factory.mktemp("filters"), random.Random(5)  # noqa: S311 - no secret
    query = "".join(dice.choice(LETTERS) for _ in range(1000))
    kinds = {"part": (query[:600], 0.02), "whole": (query, 0.2), "alike": (query[700:820], 0.0)}
    subjects = [f">{kind}{n}\n{changed(*how, dice)}\n" for kind, how in kinds.items() for n in range(SUBJECTS)]
    (made / "query.fa").write_text(f">q\n{query}\n")
    (made / "all.fa").write_text("".join(subjects))
    subprocess.run(
        ["makeblastdb", "-in", "all.fa", "-dbtype", "nucl", "-out", "all"], cwd=made, check=True, capture_output=True
    )
    return made


def kinds_found(folder: Path, k: int, *options: str) -> set[str]:
    """The kinds of subjects that BLAST prints."""
    command = ["blastn", "-task", "blastn", "-db", "all", "-query", "query.fa", "-max_target_seqs", str(k)]
    command += ["-outfmt", "6 stitle", *options]
    rows = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.split()
    return {row.rstrip("0123456789") for row in rows}


@pytest.mark.parametrize(
    ("option", "least", "kind"), [("-perc_identity", "99.9", "alike"), ("-qcov_hsp_perc", "90", "whole")]
)
def test_those_that_pass_are_lost_behind_those_that_score_more(
    folder: Path, option: str, least: str, kind: str
) -> None:
    assert kinds_found(folder, 3 * SUBJECTS, option, least) == {kind}
    assert kinds_found(folder, 5, option, least) == set()


def test_a_filter_that_the_best_pass_loses_nothing(folder: Path) -> None:
    assert kinds_found(folder, 5, "-perc_identity", "90") == {"part"} == kinds_found(folder, 5)
