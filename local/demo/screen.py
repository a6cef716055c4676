"""What the demo prints: for a terminal with colours and moving parts, for a file or a pipe as plain lines."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

_PLAIN_WIDTH = 110


class Screen:
    """The output of one demo."""

    def __init__(self, console: Console | None = None) -> None:
        made = console or Console(highlight=False)
        self.console = made if made.is_terminal else Console(highlight=False, width=_PLAIN_WIDTH, file=made.file)
        self._began = time.monotonic()

    def part(self, number: int, title: str) -> None:
        """Begin a part."""
        self.console.print()
        self.console.print(f"[bold cyan]{number}. {title}[/]")

    def done(self, text: str, seconds: float | None = None, detail: str = "") -> None:
        """One thing was done."""
        took = "" if seconds is None else f"{seconds:6.1f} s"
        line = f"  [green]\N{CHECK MARK}[/] {escape(text):<44} [bold]{took:>8}[/]  [dim]{escape(detail)}[/]"
        self.console.print(line.rstrip(), soft_wrap=True)

    def note(self, text: str) -> None:
        """A remark."""
        self.console.print(f"    [dim]{escape(text)}[/]", soft_wrap=True)

    @contextmanager
    def moving(self) -> Iterator[Moving]:
        """A place whose content is replaced while it is open; in plain output it shows nothing."""
        if not self.console.is_terminal:
            yield Moving(None)
            return
        with Live(console=self.console, transient=True, refresh_per_second=8) as live:
            yield Moving(live)

    def hits(self, rows: Sequence[Sequence[str]], total: int) -> None:
        """The table of the best hits."""
        table = Table(title=f"Best hits, one per query ({len(rows)} of {total} rows)", title_justify="left")
        for heading in ("query", "subject"):
            table.add_column(heading, overflow="fold")
        for heading in ("identity %", "length", "E-value", "bit score"):
            table.add_column(heading, justify="right", no_wrap=True)
        for row in rows:
            table.add_row(*map(escape, row))
        self.console.print(table)

    def timeline(self, steps: Sequence[Mapping[str, Any]], total: float) -> None:
        """The steps of the search with their seconds, as bars."""
        table = Table.grid(padding=(0, 2))
        longest = max((step.get("seconds") or 0.0 for step in steps), default=0.0) or 1.0
        for step in steps:
            seconds = step.get("seconds") or 0.0
            bar = "\N{BLACK RECTANGLE}" * round(30 * seconds / longest)
            table.add_row(f"  {step['name']}", f"{seconds:.1f} s", f"[cyan]{bar}[/] [dim]{escape(step['detail'])}[/]")
        self.console.print("Where the time went:")
        self.console.print(table)
        self.console.print(f"  From the answer 202 to completed: [bold]{total:.1f} s[/]")

    def success(self, text: str) -> None:
        """The end, good."""
        self._panel(text, "green")

    def failure(self, what: str, error: Mapping[str, Any], logs: str) -> None:
        """The end, bad: what happened, what the API said, where to look."""
        lines = [what]
        lines += [f"{key}: {error[key]}" for key in ("code", "message", "hint", "details") if error.get(key)]
        self._panel("\n".join([*lines, f"logs: {logs}"]), "red")

    def elapsed(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self._began

    def _panel(self, text: str, colour: str) -> None:
        self.console.print()
        if self.console.is_terminal:
            self.console.print(Panel(Text(text), border_style=colour))
        else:
            self.console.print(Text(text), soft_wrap=True)


class Moving:
    """The open place.

    Args:
        live: rich's, None in plain output.
    """

    def __init__(self, live: Live | None) -> None:
        self._live = live

    def show(self, content: RenderableType) -> None:
        """Replace the content."""
        if self._live is not None:
            self._live.update(content)


def shard_bars(rows: Sequence[Mapping[str, Any]], percent: float) -> RenderableType:
    """One bar per shard, and one for all."""
    table = Table.grid(padding=(0, 2))
    for row in rows:
        bar = ProgressBar(total=100, completed=float(row["progress_pct"]), width=30)
        table.add_row(f"    shard {row['shard']}", bar, f"{row['progress_pct']:5.1f} %", str(row["phase_label"]))
    whole = Table.grid(padding=(0, 2))
    whole.add_row("    all    ", ProgressBar(total=100, completed=percent, width=30), f"{percent:5.1f} %")
    return Group(table, whole)
