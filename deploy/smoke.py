"""Asks a deployed app the four things that must be so before anybody else asks: ``python -m deploy.smoke <address>``.

The page and both health addresses answer, and nobody who is not signed in learns who they would be. Standard library
only, so that it runs anywhere.
"""

from __future__ import annotations

import argparse
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from http import HTTPStatus

EXPECTED: Mapping[str, int] = {
    "/": HTTPStatus.OK,
    "/health": HTTPStatus.OK,
    "/api/health": HTTPStatus.OK,
    "/api/me": HTTPStatus.UNAUTHORIZED,
}
PATIENCE_SECONDS = 180.0
"""A Flex Consumption app is given its new package and started within about a minute."""
PAUSE_SECONDS = 5.0
TIMEOUT_SECONDS = 30.0


def status_of(url: str) -> int | str:
    """The HTTP status of a GET, or why there is none."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310  # the caller's own address
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, ValueError) as error:
        return str(error)


def smoke(address: str, *, patience: float = PATIENCE_SECONDS, pause: float = PAUSE_SECONDS) -> dict[str, int | str]:
    """Ask until all is as expected, or the patience is over.

    Args:
        address: scheme and host of the app.
        patience: seconds.
        pause: seconds between two rounds.

    Returns:
        What was wrong at the end, by path; empty when nothing was.
    """
    end = time.monotonic() + patience
    while True:
        found = {path: status_of(address.rstrip("/") + path) for path in EXPECTED}
        wrong = {path: status for path, status in found.items() if status != EXPECTED[path]}
        if not wrong or time.monotonic() >= end:
            return wrong
        time.sleep(min(pause, max(0.0, end - time.monotonic())))


def main() -> int:
    """0 when all is as expected."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("address", help="https://<app>.azurewebsites.net")
    arguments.add_argument("--patience", type=float, default=PATIENCE_SECONDS, help="seconds")
    asked = arguments.parse_args()
    wrong = smoke(asked.address, patience=asked.patience)
    for path, expected in EXPECTED.items():
        said = wrong.get(path, int(expected))
        print(f"{'wrong' if path in wrong else 'ok   '} {path:<12} {said} (expected {int(expected)})")  # noqa: T201
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
