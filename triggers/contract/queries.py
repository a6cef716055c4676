"""Answers about uploaded queries."""

from __future__ import annotations

from shared.domain.programs import Program
from triggers.contract.base import Shown, Time


class StoredQuery(Shown):
    """Queries that lie in storage, checked."""

    query_blob: str
    """For `query_blob` of a submit."""
    sequences: int
    letters: int
    bytes: int
    sha256: str
    """Of the FASTA as it is stored: unpacked."""
    programs: list[Program]
    """Those whose alphabet fits."""


class Upload(Shown):
    """An upload was begun."""

    upload_id: str
    upload_url: str
    """Good for 15 minutes, for writing this one blob."""
    query_blob: str
    expires_at: Time
    commit_url: str
