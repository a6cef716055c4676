"""Who is at a database on a cluster: any number of warmups, or one release, never both at a time.

Pure rules over one small row per cluster and database, which ``shared/clients/database_work.py`` keeps. A warmup joins
before it plans and leaves at its end; warmups of one database meet in the same Jobs, so they do not exclude each other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.domain.errors import ConflictError
from shared.domain.times import format_time, parse_time

RELEASE_LIFE = timedelta(minutes=15)
"""How long a release may take; one that is older was lost, and holds nobody up."""
WARMUP_LIFE = timedelta(minutes=75)
"""How long a warmup may take: its own limit is 70 minutes."""


@dataclass(frozen=True, slots=True)
class DatabaseWork:
    """The row.

    Attributes:
        warmups: instance id -> since when.
        release: instance id of the release; empty when there is none.
        etag: guard of the row; empty when there is none.
    """

    warmups: Mapping[str, datetime] = field(default_factory=dict)
    release: str = ""
    release_since: datetime | None = None
    etag: str = ""

    @property
    def is_idle(self) -> bool:
        """Whether nobody is at the database, so that no row is needed."""
        return not self.warmups and not self.release

    def releasing(self, now: datetime) -> str:
        """Instance id of a release that may still be at work."""
        alive = self.release_since is not None and now - self.release_since < RELEASE_LIFE
        return self.release if alive else ""

    def to_dict(self) -> dict[str, object]:
        """As it is stored."""
        warmups = {instance: format_time(since) for instance, since in self.warmups.items()}
        return {"warmups": warmups, "release": self.release, "release_since": format_time(self.release_since)}

    @classmethod
    def from_dict(cls, data: Mapping[str, object], etag: str) -> DatabaseWork:
        """Read a stored row; a time that cannot be read is none, and ends the claim."""
        raw = data.get("warmups")
        read = {str(k): parse_time(str(v)) for k, v in (raw.items() if isinstance(raw, Mapping) else ())}
        warmups = {instance: since for instance, since in read.items() if since is not None}
        since = data.get("release_since")
        return cls(warmups, str(data.get("release") or ""), parse_time(str(since)) if since else None, etag)


def join_warmup(work: DatabaseWork, instance: str, database: str, now: datetime) -> DatabaseWork:
    """The row with one warmup more; those that were lost are forgotten.

    Raises:
        ConflictError: ``operation_in_progress``, a release is at the database.
    """
    if release := work.releasing(now):
        raise in_progress(database, "a release", release)
    present = {name: since for name, since in work.warmups.items() if now - since < WARMUP_LIFE}
    return replace(work, warmups=present | {instance: present.get(instance, now)}, release="", release_since=None)


def begin_release(
    work: DatabaseWork, instance: str, database: str, now: datetime, ended: Collection[str] = (), *, force: bool = False
) -> DatabaseWork:
    """The row with this release.

    Args:
        ended: instances of the row that have ended without leaving it.
        force: whether warmups are thrown out: they make no Job any more, and end when theirs are gone.

    Raises:
        ConflictError: ``operation_in_progress``, a warmup is at the database.
    """
    alive = [name for name, since in work.warmups.items() if name not in ended and now - since < WARMUP_LIFE]
    if alive and not force:
        raise in_progress(database, "a warmup", min(alive))
    return replace(work, warmups={}, release=instance, release_since=now)


def leave(work: DatabaseWork, instance: str) -> DatabaseWork:
    """The row without this instance."""
    warmups = {name: since for name, since in work.warmups.items() if name != instance}
    if work.release != instance:
        return replace(work, warmups=warmups)
    return replace(work, warmups=warmups, release="", release_since=None)


def in_progress(database: str, what: str, instance: str) -> ConflictError:
    """The refusal that names who is at it."""
    return ConflictError(
        "operation_in_progress",
        f"{what} of database {database} is under way: {instance}",
        f"wait for its end at /api/warmup/{instance}/status, then ask again",
    )
