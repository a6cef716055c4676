"""A pytest plugin that always says how many tests were skipped. Loaded by ``make test``, which must not hide one.

pytest itself mentions skips only when there are some; ``-ra`` in pyproject.toml makes it list their reasons.
"""

from __future__ import annotations

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the number, and each reason with the number of tests that gave it."""
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if isinstance(report.longrepr, tuple)]
    terminalreporter.write_line(f"{len(skipped)} skipped")
    reasons = [str(report.longrepr[2]).removeprefix("Skipped: ") for report in skipped]
    for reason in sorted(set(reasons)):
        terminalreporter.write_line(f"  {reasons.count(reason)} because: {reason}")
