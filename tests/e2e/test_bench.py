"""The benchmarks run, and print what they promise. Their figures are not looked at: a quick run's say nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.__main__ import NAMES
from bench.common import Figure, percentile
from local.stack.home import REPOSITORY

SIDE_BY_SIDE = (("cold", "warm", "submit", "overhead", "flip"), ("calls", "idle", "lists", "fasta"))
"""Each group on a stack of its own; they mostly wait."""
LIMITS: dict[str, dict[str, float]] = {
    "flip": {"with push": 1.0, "no push, the list read each second": 6.0, "no push, unread": 12.0},
    "overhead": {"202 to completed, less the slowest container": 2.0},
    "warm": {"beyond 1.3 x by hand": 0.5, "a second Warm": 1.0},
    "lists": {"first page": 200.0, "LISTs per window, each cluster": 2},
    "calls": {"monitor, nobody calls back": 99},
}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What quick runs of all benchmarks print, and the folder of their JSON."""
    folder = tmp_path_factory.mktemp("bench")
    command = [sys.executable, "-m", "bench", "--quick", "--json", str(folder / "json")]
    environment = {**os.environ, "TMPDIR": str(folder)}
    logs = [folder / f"{group[0]}.txt" for group in SIDE_BY_SIDE]
    started: list[subprocess.Popen[bytes]] = []
    for group, log in zip(SIDE_BY_SIDE, logs, strict=True):
        with log.open("w") as out:
            started.append(
                subprocess.Popen([*command, *group], cwd=REPOSITORY, env=environment, stdout=out, stderr=out)
            )
    try:
        codes = [process.wait(180) for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()
    text = "".join(log.read_text() for log in logs)
    assert codes == [0, 0], text
    return text, folder / "json"


def test_every_benchmark_prints_its_tables_and_writes_its_json(outputs: tuple[str, Path]) -> None:
    text, folder = outputs
    assert sorted(path.stem for path in folder.iterdir()) == sorted(NAMES)
    for name in NAMES:
        report = json.loads((folder / f"{name}.json").read_text())
        assert (report["benchmark"], report["quick"]) == (name, True)
        assert {"cores", "cpu", "memory_gib", "python"} <= report["machine"].keys()
        assert [len(report["load_average"][moment]) for moment in ("start", "end")] == [3, 3]
        assert f"== {name}" in text
        for section in report["sections"]:
            assert section["title"] in text
            for figure in section["figures"]:
                assert figure["what"] in text
                assert figure["n"] == len(figure["values"]) > 0
    assert text.count(f"Python {sys.version.split()[0]}") == len(NAMES)


@pytest.mark.parametrize("name", LIMITS)
def test_limits_stand_beside_the_figures(outputs: tuple[str, Path], name: str) -> None:
    figures = _figures(outputs[1] / f"{name}.json")
    assert {what: figures[what]["limit"] for what in LIMITS[name]} == LIMITS[name]
    assert all(isinstance(figures[what]["kept"], bool) for what in LIMITS[name])


def _figures(path: Path) -> dict[str, dict[str, Any]]:
    sections = json.loads(path.read_text())["sections"]
    return {figure["what"]: figure for section in sections for figure in section["figures"]}


def test_an_unknown_name_is_refused() -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "bench", "nonsense"], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert refused.returncode == 2
    assert "unknown: nonsense" in refused.stderr
    assert "flip" in refused.stderr


@pytest.mark.parametrize(
    ("values", "share", "wanted"),
    [([3.0], 0.95, 3.0), ([1, 2], 0.5, 1.5), ([3, 1, 2], 0.5, 2), (range(1, 101), 0.95, 95), (range(1, 21), 0.95, 19)],
)
def test_percentiles(values: list[float], share: float, wanted: float) -> None:
    assert percentile(values, share) == wanted


@pytest.mark.parametrize(("statistic", "kept"), [("median", True), ("p95", False), ("max", False)])
def test_a_limit_is_held_against_its_statistic(statistic: str, kept: bool) -> None:
    figure = Figure("seconds", [1, 1, 1, 5], "s", 1.0, statistic)
    assert figure.kept is kept
    assert figure.cells()[-1] == ("yes" if kept else "NO")


def test_a_figure_without_a_limit_says_nothing_of_one() -> None:
    figure = Figure("seconds", [1, 2], "s")
    assert figure.kept is None
    assert "limit" not in figure.to_dict()
