"""Turns the signals that ask a program to end into one exception. Used around a :class:`Stack`."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class EndRequested(BaseException):
    """Ctrl-C, SIGTERM, or the terminal is gone. Not an ``Exception``, so that nothing takes it for a failure.

    Args:
        number: the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def ending_on_signals() -> Iterator[None]:
    """Raise :class:`EndRequested` in the main thread at the first such signal, and ignore the next ones.

    The first begins an orderly end; a second one must not interrupt that half-way.
    """

    def end(number: int, _: FrameType | None) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise EndRequested(number)

    before = {number: signal.signal(number, end) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
