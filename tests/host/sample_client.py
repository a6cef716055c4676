"""The sample app in a host process, as its users see it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx

from local.host.harness import HostProcess

SAMPLE_APP = Path(__file__).parent / "sample_app"
# Above the 30 s that the in-memory backend waits for a child.
LONG_CHILD_SECONDS = 31
_ENDED = ("COMPLETED", "FAILED", "TERMINATED")


def eventually[T](look: Callable[[], T], timeout: float = 30) -> T:
    """The first true value that `look` gives, looked at every 20 ms.

    Args:
        timeout: seconds.

    Raises:
        AssertionError: when there is none in time; it shows the last value.
    """
    deadline = time.monotonic() + timeout
    while not (value := look()):
        assert time.monotonic() < deadline, f"still {value!r} after {timeout} s"
        time.sleep(0.02)
    return value


class SampleApp:
    """The sample app behind its URL.

    Args:
        host: running.
        notes: the file that the app's activities and timers write to.
    """

    def __init__(self, host: HostProcess, notes: Path) -> None:
        self.host = host
        self._notes = notes
        self.http = httpx.Client(base_url=host.base_url, timeout=30)

    @classmethod
    @contextmanager
    def started(cls, folder: Path, **settings: str) -> Iterator[Self]:
        """Run the app with its state in a folder, and app settings."""
        notes = folder / "notes"
        environment = {"SAMPLE_LOG": str(notes), "SAMPLE_SCHEDULE": "0 0 0 1 1 *", **settings}
        with HostProcess(SAMPLE_APP, folder / "state.db", environment) as host:
            sample = cls(host, notes)
            try:
                yield sample
            finally:
                sample.http.close()

    def notes(self) -> list[str]:
        """What activities and timers have noted so far."""
        return self._notes.read_text(encoding="utf-8").splitlines() if self._notes.exists() else []

    def start(self, orchestrator: str, instance: str, given: object = None) -> int:
        """Start an orchestration; returns the HTTP status."""
        return self.http.post(f"/start/{orchestrator}/{instance}", json=given).status_code

    def status(self, instance: str) -> dict[str, Any]:
        """The state of an instance."""
        answer = self.http.get(f"/status/{instance}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def ended(self, instance: str, timeout: float = 30) -> dict[str, Any]:
        """The state of an instance once it has ended."""

        def look() -> dict[str, Any] | None:
            found = self.status(instance)
            return found if found["status"] in _ENDED else None

        found = eventually(look, timeout)
        assert found is not None
        return found

    def control(self, action: str, instance: str, **query: str) -> None:
        """See the sample app's function of this name."""
        self.http.post(f"/control/{action}/{instance}", params=query).raise_for_status()
