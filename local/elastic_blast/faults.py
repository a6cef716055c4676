"""What the stand-in is told to do wrong: ``ELB_STAND_IN`` or the section ``stand-in`` of the configuration.

``fail=3``          end with this exit code and make nothing
``fail_first=8``    the same, but only in the first helper of a search
``half=8``          end with this exit code after half of the BLAST Jobs
``die=1``           kill the shell that started it, so that no exit code is written
``hang=3600``       wait so many seconds before anything
``noise=2000000``   write so many bytes of log first
``own_id=1``        ignore the idempotency key and take an id of its own
``no_finalizer=1``  make no finalizer
Several are given with commas between them.
"""

from __future__ import annotations

from collections.abc import Mapping

KNOWN = ("fail", "fail_first", "half", "die", "hang", "noise", "own_id", "no_finalizer")


def read_faults(text: str, section: Mapping[str, str]) -> dict[str, int]:
    """The faults of a text ``a=1,b=2`` and of a section of the configuration.

    Raises:
        ValueError: one is not known, or its value is no number.
    """
    pairs = dict(part.partition("=")[::2] for part in text.split(",") if part)
    faults = {key.strip(): int(value or 1) for key, value in {**pairs, **section}.items()}
    unknown = sorted(set(faults) - set(KNOWN))
    if unknown:
        raise ValueError(f"the stand-in has no fault {', '.join(unknown)}")
    return faults
