"""A search on the screen: in a terminal a picture that moves, elsewhere a line for each change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from elb.api import Json
from elb.clock import parse_time
from elb.output import Output
from elb.text import clean, spell_progress, spell_seconds
from elb.watch import ENDS, Show, snapshot

_MARKS = {
    "completed": ("\N{CHECK MARK}", "green"),
    "skipped": ("\N{EN DASH}", "dim"),
    "failed": ("\N{BALLOT X}", "red"),
    "cancelled": ("\N{BALLOT X}", "yellow"),
}
_COLOURS = {"completed": "green", "failed": "red", "cancelled": "yellow", "delete_failed": "red"}


@contextmanager
def showing(out: Output, now: Callable[[], datetime]) -> Iterator[Show]:
    """How a search is shown while it is followed: as JSON lines, as a moving picture, or as plain lines.

    Args:
        out: for whom.
        now: the API's time of day.
    """
    if out.as_json:
        yield JsonLines(out, now)
    elif out.live:
        picture = Picture(now)
        with Live(console=out.console, get_renderable=picture.render, refresh_per_second=4) as live:
            yield picture
            live.refresh()
    else:
        yield PlainLines(out)


class JsonLines:
    """One line of JSON for each change."""

    def __init__(self, out: Output, now: Callable[[], datetime]) -> None:
        self._out, self._now = out, now
        self._last: Json | None = None

    def __call__(self, detail: Json) -> None:
        """Print it, if it is another than before."""
        line = snapshot(detail, self._now().isoformat(timespec="milliseconds").replace("+00:00", "Z"))
        if self._last is None or {**line, "at": self._last["at"]} != self._last:
            self._out.line(line)
            self._last = line


class PlainLines:
    """For a pipe, a file, or a terminal that cannot move its cursor: each new state once, and each step that ends."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._steps: set[tuple[str, str]] = set()
        self._state = ""

    def __call__(self, detail: Json) -> None:
        """Print what is new."""
        for step in _steps(detail):
            key = (str(step.get("name")), str(step.get("status")))
            if key[1] not in ("pending", "running") and key not in self._steps:
                self._steps.add(key)
                took = spell_seconds(step.get("seconds"))
                self._out.say(
                    f"  {clean(key[0]):<13} {clean(key[1]):<10} {took:>12}  {clean(step.get('detail'))}".rstrip()
                )
        state = headline(detail)
        if state != self._state:
            self._state = state
            self._out.say(state)


class Picture:
    """The moving picture. It is drawn several times a second, and told of a new detail every second or two."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._detail: Json = {}
        self._spinner = Spinner("dots")

    def __call__(self, detail: Json) -> None:
        """Show this from now on."""
        self._detail = detail

    def render(self) -> RenderableType:
        """The picture as of now."""
        detail, now = self._detail, self._now()
        if not detail:
            return Text("")
        table = Table.grid(padding=(0, 2))
        for step in _steps(detail):
            table.add_row(*self._row(step, now))
        progress = detail.get("progress") or {}
        parts: list[RenderableType] = [Text(_title(detail), style="bold", overflow="fold"), table]
        if progress.get("total"):
            bar = Table.grid(padding=(0, 2))
            percent = _number(progress.get("pct"))
            bar.add_row(
                ProgressBar(total=100, completed=percent, width=30), f"{percent:.1f} %", spell_progress(progress)
            )
            parts.append(bar)
        style = _COLOURS.get(str(detail.get("status")), "cyan")
        parts.append(Text(headline(detail, progress=False), style=style, overflow="fold"))
        if detail.get("stale"):
            parts.append(Text(f"! {stale_mark(detail, now)}", style="yellow", overflow="fold"))
        return Group(*parts)

    def _row(self, step: Mapping[str, Any], now: datetime) -> tuple[RenderableType, ...]:
        status, seconds = str(step.get("status")), step.get("seconds")
        mark: RenderableType = Text(*_MARKS.get(status, (" ", "")))
        if status == "running":
            mark, began = self._spinner, parse_time(step.get("started_at"))
            seconds = max(0.0, (now - began).total_seconds()) if began else None
        detail = "" if status == "pending" else clean(step.get("detail"))
        shown = status if status in ("skipped", "failed", "cancelled") and not detail else detail
        return (
            mark,
            Text(clean(step.get("name"))),
            Text(spell_seconds(seconds), justify="right"),
            Text(shown, style="dim"),
        )


def headline(detail: Mapping[str, Any], *, progress: bool = True) -> str:
    """How a search stands, in one line: status, phase, what it waits for, why it failed."""
    status, phase = clean(detail.get("status")), clean(detail.get("phase"))
    parts = [status if phase in ("", status) else f"{status} ({phase})"]
    if progress and (jobs := spell_progress(detail.get("progress"))):
        parts.append(jobs)
    if detail.get("waiting_reason") and status not in ("completed", "failed", "cancelled"):
        parts.append(clean(detail["waiting_reason"]))
    error = detail.get("error")
    if isinstance(error, dict):
        parts.append(f"{clean(error.get('message'))} [{clean(error.get('code'))}]")
        parts += [clean(error["hint"])] if error.get("hint") else []
    if progress and detail.get("stale"):
        parts.append(f"stale: {clean(detail.get('stale_reason'))}")
    return ": ".join([parts[0], "; ".join(parts[1:])]) if parts[1:] else parts[0]


def stale_mark(detail: Mapping[str, Any], now: datetime) -> str:
    """As of when it is known, and why it is not known better."""
    seen = parse_time(detail.get("observed_at"))
    since = f"as seen {spell_seconds(max(0.0, (now - seen).total_seconds()))} ago" if seen else "not seen yet"
    return f"stale, {since}: {clean(detail.get('stale_reason'))}"


def has_ended(detail: Mapping[str, Any]) -> bool:
    """Whether nothing more happens to it by itself."""
    return str(detail.get("status")) in ENDS


def _title(detail: Mapping[str, Any]) -> str:
    title = clean(detail.get("title"))
    about = f"{clean(detail.get('job_id'))}  {clean(detail.get('program'))} {clean(detail.get('database'))}"
    return f"{about}  {title}" if title else about


def _steps(detail: Mapping[str, Any]) -> list[Json]:
    steps = detail.get("steps")
    return [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
