"""A line that is served with a few threads until the time is up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

type Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Budget:
    """Until when a turn may begin with something new.

    Attributes:
        ends_at: seconds of ``clock``.
        clock: seconds that only grow.
    """

    ends_at: float
    clock: Clock

    @property
    def is_spent(self) -> bool:
        """Whether the time is up."""
        return self.clock() >= self.ends_at


def serve[T](line: Sequence[T], work: Callable[[T], None], *, parallel: int, budget: Budget) -> list[T]:
    """Work on everything in a line, in its order, until the time is up; what was begun comes to its end.

    Returns:
        What was not begun, in its order: the end of the line.

    Raises:
        Exception: the first one of ``work``, after everything else was served.
    """
    not_begun: list[int] = []

    def one(number: int) -> None:
        if not_begun or budget.is_spent:  # once the time is up it is for all who stand behind
            not_begun.append(number)
        else:
            work(line[number])

    with ThreadPoolExecutor(parallel, thread_name_prefix="turn") as pool:
        futures = [pool.submit(one, number) for number in range(len(line))]
    for future in futures:
        future.result()
    return [line[number] for number in sorted(not_begun)]
