"""Faults on demand: what the tests ask the emulator to get wrong. Set over ``PUT /control/faults``."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local.azure.errors import ArmError


@dataclass(slots=True)
class Fault:
    """One kind of wrong answer.

    Args:
        path: regular expression that is searched in the request's path, without regard to case.
        method: only this HTTP method; every one when empty.
        status: HTTP status to answer with; 0 only delays.
        code: ARM's error code.
        message: the error's text.
        times: how often, -1 for always.
        retry_after: seconds for the header of that name, if any.
        delay_seconds: how long to wait before the answer.
    """

    path: str = ""
    method: str = ""
    status: int = 500
    code: str = "InternalServerError"
    message: str = "asked for by a test"
    times: int = 1
    retry_after: int | None = None
    delay_seconds: float = 0.0


class Faults:
    """Those that are set now; a new set replaces the old one."""

    def __init__(self) -> None:
        self._active: list[Fault] = []

    def replace(self, wanted: Sequence[Mapping[str, Any]]) -> None:
        """Set other faults.

        Raises:
            TypeError: one has a name that :class:`Fault` does not know.
        """
        self._active = [Fault(**fault) for fault in wanted]

    async def apply(self, method: str, path: str) -> None:
        """Do what the first matching fault says.

        Raises:
            ArmError: that fault's answer.
        """
        for fault in self._active:
            if fault.times and fault.method in ("", method) and re.search(fault.path, path, re.IGNORECASE):
                fault.times -= fault.times > 0
                await asyncio.sleep(fault.delay_seconds)
                if fault.status:
                    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
                    raise ArmError(fault.status, fault.code, fault.message, headers)
                return
