"""Where a command's answer goes: for people as text, for programs as JSON and nothing else.

Standard output has the answer, standard error everything else. With ``--json`` each is JSON: one document, or for
``watch`` one line for each change; an error is one line on standard error.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from elb.errors import ClientError
from elb.text import clean

_PIPE_WIDTH = 250
"""Wide enough that no line of a table is folded where a program may read it."""


class Output:
    """The two streams of a command.

    Args:
        as_json: whether the answer is for a program.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.live = sys.stdout.isatty() and not as_json
        width = None if sys.stdout.isatty() else _PIPE_WIDTH
        # The tables are for people; escape sequences go to terminals only, whatever the environment says.
        self.console = Console(file=sys.stdout, highlight=False, width=width, force_terminal=sys.stdout.isatty())
        self.live = self.live and not self.console.is_dumb_terminal

    def document(self, value: Any) -> None:
        """The whole answer for a program; nothing where it is for people."""
        if self.as_json:
            self._write(json.dumps(value, indent=2))

    def line(self, value: Any) -> None:
        """One line of JSON, at once."""
        self._write(json.dumps(value))

    def say(self, text: str = "") -> None:
        """A line for people."""
        if not self.as_json:
            self._write(text)

    def note(self, text: str) -> None:
        """A remark for people, beside the answer."""
        if not self.as_json:
            self.complain(text + "\n")

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> None:
        """A table for people. Headings in ``right`` are numbers."""
        if self.as_json:
            return
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for heading in headings:
            table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(clean(value)) for value in row))
        with self.console.capture() as captured:  # rich would end the process itself when nobody reads any more
            self.console.print(table)
        self._write("\n".join(line.rstrip() for line in captured.get().splitlines()))

    def error(self, error: ClientError) -> None:
        """What ended the command, to standard error: what happened, to which thing, what to do."""
        if self.as_json:
            self.complain(json.dumps(error.to_dict()) + "\n")
        else:
            lines = [f"elb: {clean(error.message)} [{clean(error.code)}]"]
            lines += [f"  asked: {clean(error.about['request'])}"] if "request" in error.about else []
            # The message names the first field already.
            lines += [f"  {clean(d.get('field'))}: {clean(d.get('message'))}" for d in error.details[1:]]
            lines += [f"  {clean(error.hint, lines=True)}"] if error.hint else []
            self.complain("\n".join(lines) + "\n")

    def complain(self, text: str) -> None:
        """Text to standard error. Where nobody reads that any more, the exit code says it alone."""
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # or the interpreter would try again at its end, and exit anew

    def _write(self, text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
