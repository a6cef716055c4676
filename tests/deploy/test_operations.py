"""docs/operations.md: what it names exists, every alert has its runbook, and its sums are right."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest

from deploy.package import REPOSITORY
from tests.registered import app_functions

DOCUMENT = (REPOSITORY / "docs" / "operations.md").read_text()
BENCHMARKS = (REPOSITORY / "docs" / "benchmarks.md").read_text()
ALERTS = REPOSITORY / "infra" / "modules" / "alerts.bicep"
CENT = Decimal("0.01")
TOTAL = "**together**"


def section(title: str) -> str:
    """What stands under a heading, up to the next one of its level or above."""
    level = title.split(" ")[0]
    rest = DOCUMENT.split(f"\n{title}\n", 1)[1]
    return re.split(rf"\n#{{2,{len(level)}}} ", rest, maxsplit=1)[0]


def rows(title: str) -> list[list[str]]:
    """The table of a section, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def number(text: str) -> Decimal:
    return Decimal(text.replace(",", ""))


class TestAlerts:
    NAMES = sorted(re.findall(r"^    name: '([a-z-]+)'$", ALERTS.read_text(), re.MULTILINE))

    def test_every_alert_has_a_runbook_and_every_runbook_an_alert(self) -> None:
        runbooks = re.findall(r"^### (.+)$", section("## Alerts"), re.MULTILINE)
        assert sorted(runbooks) == self.NAMES
        assert len(self.NAMES) >= 6

    @pytest.mark.parametrize("name", NAMES)
    def test_a_runbook_says_what_it_means_and_what_to_do(self, name: str) -> None:
        runbook = section(f"### {name}")
        assert re.match(r"\n\*.+\*", runbook), "begins with its meaning"
        assert len(re.findall(r"^\d\. ", runbook, re.MULTILINE)) >= 2


class TestWhatItNames:
    def routes(self) -> Iterator[tuple[str, str]]:
        functions: list[Any] = app_functions()
        for trigger in (function.get_trigger() for function in functions):
            if trigger.type == "httpTrigger":
                yield from ((str(method.value), f"/{trigger.route}") for method in trigger.methods)

    def test_routes(self) -> None:
        served = {(method, re.sub(r"\{.*?\}", "{}", route)) for method, route in self.routes()}
        named = re.findall(r"`(GET|POST|PUT|DELETE) (/[^`?]*)", DOCUMENT)
        assert len(named) > 15
        asked = {(method, re.sub(r"\{.*?\}", "{}", path)) for method, path in named}
        page = ("GET", "/")
        assert {route for route in asked if route not in served} <= {page}

    def test_settings(self) -> None:
        """Settings of the app, and of the azd environment."""
        known = (REPOSITORY / "docs" / "settings.md").read_text()
        for file in [REPOSITORY / "azure.yaml", *(REPOSITORY / "infra").rglob("*")]:
            if file.suffix in (".bicep", ".json", ".sh", ".yaml"):
                known += file.read_text()
        named = set(re.findall(r"\b(?:ELB|AUTH)_[A-Z0-9_]+\b", DOCUMENT))
        assert len(named) > 5
        assert {name for name in named if not re.search(rf"\b{name}\b", known)} == set()

    def test_variables_of_the_pipeline(self) -> None:
        workflow = (REPOSITORY / ".github" / "workflows" / "deploy.yml").read_text()
        used = set(re.findall(r"vars\.([A-Z_]+)", workflow))
        assert used == set(re.findall(r"`(AZURE_[A-Z_]+|LET_RUNNER_IN)`", section("### By the pipeline")))

    def test_make_targets(self) -> None:
        makefile = (REPOSITORY / "Makefile").read_text()
        named = set(re.findall(r"`make ([a-z-]+)", DOCUMENT))
        assert {"ci", "package", "bench"} <= named
        assert {name for name in named if not re.search(rf"^{name}:", makefile, re.MULTILINE)} == set()

    def test_benchmarks(self) -> None:
        named = set(re.findall(r"ONLY=([a-z]+)", DOCUMENT))
        assert {name for name in named if not (REPOSITORY / "bench" / f"{name}.py").is_file()} == set()

    def test_files_and_modules(self) -> None:
        files = set(re.findall(r"`((?:deploy|infra|tests|docs|web)/[A-Za-z0-9_./-]+)`", DOCUMENT))
        assert {name for name in files if not (REPOSITORY / name).exists()} == set()
        modules = set(re.findall(r"python -m ([a-z.]+)", DOCUMENT))
        assert modules
        assert {name for name in modules if not (REPOSITORY / f"{name.replace('.', '/')}.py").is_file()} == set()

    def test_links(self) -> None:
        for target in re.findall(r"\]\(([^)]+)\)", DOCUMENT):
            file, _, anchor = target.partition("#")
            assert not file or (REPOSITORY / "docs" / file).is_file(), target
            if anchor and not file:
                titles = re.findall(r"^#+ (.+)$", DOCUMENT, re.MULTILINE)
                assert anchor in {title.lower().replace(" ", "-") for title in titles}

    def test_tables(self) -> None:
        code = (REPOSITORY / "shared" / "clients" / "table_rows.py").read_text()
        named = set(re.findall(r"`(elb[a-z]+)`", section("## Restore")))
        assert {"elbsearches", "elbindex", "elbclusters", "elbevents", "elbstats"} <= named
        assert {name for name in named if f'"{name}"' not in code} == set()


SUMS = ("### 1,000 searches", "### A page that is open", "### A month of nothing")


@pytest.mark.parametrize("title", SUMS)
def test_every_line_and_the_sum_of_a_table_are_right(title: str) -> None:
    *lines, last = rows(title)
    assert last[0] == TOTAL
    for what, count, each, price, per, cost in lines:
        exact = number(count) * number(each) * number(price) / number(per)
        assert exact.quantize(CENT, ROUND_HALF_UP) == number(cost), what
    assert sum(number(line[5]) for line in lines) == number(last[5].strip("*"))


@pytest.mark.parametrize("title", SUMS)
def test_every_price_is_in_the_list_of_prices(title: str) -> None:
    listed = {number(row[1]) for row in rows("### Prices")}
    assert {number(row[3]) for row in rows(title)[:-1]} <= listed


def figures(name: str) -> list[Decimal]:
    """The measured numbers of one line of docs/benchmarks.md."""
    (line,) = [line for line in BENCHMARKS.splitlines() if line.startswith(f"| {name} |")]
    return [number(text) for text in re.findall(r"\d[\d,.]*\d|\d", line.strip("|").split("|")[2].split("[")[0])]


class TestCounts:
    """The counted numbers are those of docs/benchmarks.md."""

    def test_a_search(self) -> None:
        tables = figures("table transactions of a search of 10 minutes: alone, among 201")[0]
        blobs = figures("blob calls of a search of 10 minutes: alone, among 201")[0]
        activities = figures("activities of a search of 10 minutes: alone, among 201")[0]
        steps = figures("orchestrator steps of a search of 10 minutes: alone, among 201")[0]
        counts = {row[0]: number(row[1]) for row in rows("### 1,000 searches")[:-1]}
        assert counts == {
            "execution time, at most": 1000 * (activities + steps),
            "executions": 1000 * (activities + steps),
            "the app's table requests": 1000 * tables,
            "the app's blob calls, all as writes": 1000 * blobs,
            "Durable's queue requests": 1000 * (activities + steps),
            "Durable's table requests": 1000 * steps,
            "telemetry": 1000 * (activities + steps),
        }

    def test_a_month(self) -> None:
        minutes = 30 * 24 * 60
        runs = Decimal(2 * minutes + minutes + minutes + 30)
        counts = {row[0]: number(row[1]) for row in rows("### A month of nothing")[:-1]}
        kinds = {
            "the app's table requests": "table calls",
            "the app's blob reads": "blob read calls",
            "the app's blob writes and lists": "blob write and list calls",
        }
        for what, kind in kinds.items():
            assert counts[what] == minutes * figures(f"idle, a minute: {kind}; cluster running, stopped")[0]
        rules = ALERTS.read_text()
        for every in (5, 15):
            assert counts[f"alert rules, each {every} minutes"] == rules.count(f"frequency: 'PT{every}M'")
        assert counts["timers' execution time"] == counts["telemetry"] == runs
        assert counts["looks of the scale controller"] == 5 * 6 * minutes
