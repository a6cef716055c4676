"""When a call is tried again, and when not any more."""

from __future__ import annotations

import pytest

from shared.clients.retrying_kube import RetryingKube
from shared.domain.errors import ConflictError, PermanentError, TransientError
from shared.domain.retries import LONGEST_SECONDS, TRIES, retry_delay


@pytest.mark.parametrize(
    ("failures", "retry_after", "jitter", "wanted"),
    [
        (1, None, 0.0, 0.125),
        (1, None, 1.0, 0.25),
        (2, None, 1.0, 0.5),
        (4, None, 1.0, 2.0),
        (TRIES, None, 0.5, None),
        (1, 3.0, 0.0, 3.0),
        (1, LONGEST_SECONDS, 0.0, LONGEST_SECONDS),
        (1, LONGEST_SECONDS + 1, 0.0, None),
        (TRIES, 1.0, 0.0, None),
    ],
)
def test_delays(failures: int, retry_after: float | None, jitter: float, wanted: float | None) -> None:
    assert retry_delay(failures, retry_after, jitter) == wanted


class FailingKube:
    """Raises what it is given, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.calls = list(errors), 0

    def nodes(self) -> list[dict[str, str]]:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return [{"name": "n"}]


def patient(kube: FailingKube, slept: list[float]) -> RetryingKube:
    return RetryingKube(kube, slept.append, lambda: 0.0)  # type: ignore[arg-type]  # one method is enough here


def busy(after: float | None = None) -> TransientError:
    return TransientError("kube_busy", "429", retry_after=after)


def test_what_may_pass_is_tried_again_after_as_long_as_was_asked() -> None:
    slept: list[float] = []
    kube = FailingKube(busy(2.0), busy())
    assert patient(kube, slept).nodes() == [{"name": "n"}]
    assert slept == [2.0, 0.25]


def test_tries_are_bounded() -> None:
    slept: list[float] = []
    kube = FailingKube(*[busy() for _ in range(20)])
    with pytest.raises(TransientError):
        patient(kube, slept).nodes()
    assert (kube.calls, len(slept)) == (TRIES, TRIES - 1)


@pytest.mark.parametrize(
    "error",
    [
        PermanentError("kube_refused", "422"),
        ConflictError("already_exists", "409"),
        TransientError("kube_denied", "403"),
    ],
)
def test_what_cannot_pass_is_never_tried_again(error: Exception) -> None:
    slept: list[float] = []
    kube = FailingKube(error)
    with pytest.raises(type(error)):
        patient(kube, slept).nodes()
    assert (kube.calls, slept) == (1, [])
