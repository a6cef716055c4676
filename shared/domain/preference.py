"""Which databases a cluster is to have warm by itself: the preference, what may change of it, and how it is stored.

Nobody need have saved one: then the default holds, ``core_nt`` where it lies in the user's own storage. A stored value
that cannot be read is an error and never a default: docs/behaviour.md, W7.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from shared.domain.errors import InvalidInputError, StoredValueError

MAX_DATABASES = 100
"""Names of one preference: each costs the reconcile some calls a minute."""


@dataclass(frozen=True, slots=True)
class AutoWarmPreference:
    """What a cluster is to have warm.

    Attributes:
        databases: names, in the order in which they are warmed; one that storage does not have is kept.
        enabled: whether anything is warmed by itself.
    """

    databases: tuple[str, ...]
    enabled: bool

    def to_dict(self) -> dict[str, Any]:
        """As the API shows it and the row holds it."""
        return {"databases": list(self.databases), "enabled": self.enabled}

    def to_text(self) -> str:
        """As the row holds it; the same preference gives the same text."""
        return json.dumps(self.to_dict())


DEFAULT = AutoWarmPreference(("core_nt",), enabled=True)
"""Until somebody saves one."""


@dataclass(frozen=True, slots=True)
class PreferenceChange:
    """What a caller wants changed: the whole list, or single names; and whether it is to work at all.

    Attributes:
        databases: the whole list; None leaves it.
        add: names to be added at its end; one that is there already stays where it is.
        remove: names to be taken off it; one that is not there is fine.
        enabled: None leaves it.
    """

    databases: tuple[str, ...] | None = None
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    enabled: bool | None = None

    def __post_init__(self) -> None:
        if self.databases is not None and (self.add or self.remove):
            raise InvalidInputError(
                "invalid_preference",
                "databases is the whole list; add and remove change the stored one",
                "send either databases, or add and remove",
                field="databases",
            )
        for field, names in (("databases", self.databases or ()), ("add", self.add), ("remove", self.remove)):
            _check(names, field)
        both = sorted({*self.add} & {*self.remove})
        if both:
            raise InvalidInputError(
                "invalid_preference", f"{both[0]} is to be added and removed", "name it once", field="remove"
            )

    @property
    def replaces(self) -> bool:
        """Whether it says everything that counts, so that it may take the place of one that cannot be read."""
        return self.databases is not None

    def applied_to(self, before: AutoWarmPreference) -> AutoWarmPreference:
        """The preference after this change; twice gives the same as once.

        Raises:
            InvalidInputError: ``too_many_databases``.
        """
        known = before.databases if self.databases is None else self.databases
        wanted = [name for name in known if name not in self.remove]
        wanted += [name for name in self.add if name not in wanted]
        _check(wanted, "databases" if self.databases is not None else "add")
        return AutoWarmPreference(tuple(wanted), before.enabled if self.enabled is None else self.enabled)


def _check(names: tuple[str, ...] | list[str], field: str) -> None:
    if len(names) > MAX_DATABASES:
        raise InvalidInputError(
            "too_many_databases",
            f"a preference has at most {MAX_DATABASES} databases, this would have {len(names)}",
            "take some off it",
            field=field,
        )
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidInputError("invalid_preference", f"{twice[:80]} is there twice", "name it once", field=field)


def read_preference(text: object, cluster: str) -> AutoWarmPreference:
    """A stored preference.

    Args:
        text: what the row holds.
        cluster: the cluster's name, for the error.

    Raises:
        StoredValueError: ``preference_corrupted``.
    """
    try:
        data = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        data = None
    match data:
        case {"databases": [*names], "enabled": bool(enabled)} if all(isinstance(name, str) for name in names):
            if len(names) <= MAX_DATABASES and len({*names}) == len(names):
                return AutoWarmPreference(tuple(names), enabled)
    raise corrupted(cluster)


def corrupted(cluster: str) -> StoredValueError:
    """The error of a stored preference that cannot be read."""
    return StoredValueError(
        "preference_corrupted",
        f"the stored auto-warm preference of {cluster} cannot be read; it was left as it is, and nothing is warmed",
        "save it anew with the whole list: PUT /api/warmup/auto-preference with databases and enabled",
    )
