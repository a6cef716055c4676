"""What every command has: the API, the output, the time; and what several of them do alike."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from elb.api import Api, Json
from elb.errors import ClientError, Exit, SearchEndedError, WaitedTooLongError
from elb.output import Output
from elb.view import showing
from elb.watch import ENDS, follow


@dataclass(frozen=True, slots=True)
class Session:
    """One run of the client.

    Args:
        api: the app.
        out: for whom.
        again: how the client is called, with the ``--api`` that was given: for hints that can be copied.
    """

    api: Api
    out: Output
    again: tuple[str, ...] = ("python", "-m", "elb")

    def command(self, *words: str) -> str:
        """A command line of this client, to be shown."""
        return shlex.join((*self.again, *words))

    def watch(self, job_id: str, timeout: float | None) -> Json:
        """Show a search until it has ended; the detail of then.

        Raises:
            ClientError: as :func:`elb.watch.follow`; ``interrupted``, and the search goes on.
        """
        going_on = self.going_on(f"the search {job_id}", self.command("watch", job_id), job_id)
        with going_on, showing(self.out, self.api.now) as show:
            return follow(self.api, job_id, show, timeout)

    def wait(self, job_id: str, timeout: float | None) -> Json:
        """As :meth:`watch`, but with ``--json`` nothing is printed on the way: the caller prints one document."""
        if not self.out.as_json:
            return self.watch(job_id, timeout)
        with self.going_on(f"the search {job_id}", self.command("watch", job_id), job_id):
            return follow(self.api, job_id, lambda _: None, timeout)

    @contextmanager
    def going_on(self, what: str, command: str, job_id: str = "") -> Iterator[None]:
        """Ctrl-C and ``--timeout`` end the client only; say what goes on, and the command that follows it.

        Raises:
            ClientError: ``interrupted``; ``timeout``.
        """
        try:
            yield
        except KeyboardInterrupt:
            hint = f"follow it with: {command}"
            if job_id:
                hint += f"\n  end it with: {self.command('cancel', job_id)}"
            about = {"job_id": job_id} if job_id else {}
            raise ClientError("interrupted", f"{what} goes on", hint, exit_code=Exit.INTERRUPTED, about=about) from None
        except WaitedTooLongError as error:
            error.hint = f"it goes on; follow it with: {command}"
            raise

    @contextmanager
    def transfer(self, what: str, size: int) -> Iterator[Callable[[int], None]]:
        """A bar for bytes on their way, in a terminal; elsewhere nothing is shown.

        Args:
            what: the file.
            size: in bytes.
        """
        if not self.out.live:
            yield lambda _: None
            return
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=self.out.console, transient=True) as bars:
            task = bars.add_task(what, total=size)
            yield lambda done: bars.update(task, completed=done)


def end_of(detail: Mapping[str, Any]) -> Exit:
    """The exit code of a search that has ended."""
    return ENDS.get(str(detail.get("status")), Exit.FAILED)


def need_completed(detail: Mapping[str, Any]) -> None:
    """Raises SearchEndedError unless the search is completed."""
    code = end_of(detail)
    if code is Exit.OK:
        return
    error = detail.get("error") if isinstance(detail.get("error"), dict) else {}
    job_id, status = str(detail.get("job_id")), str(detail.get("status"))
    why = str((error or {}).get("message") or "")
    raise SearchEndedError(
        str((error or {}).get("code") or status),
        f"{job_id} is {status}" + (f": {why}" if why else ""),
        str((error or {}).get("hint") or ""),
        exit_code=code,
        about={"job_id": job_id},
    )
