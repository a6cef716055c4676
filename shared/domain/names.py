"""Names and label values of Kubernetes objects.

A contract: for *any* input the result is valid for Kubernetes (RFC 1123 label: lower case letters, digits and
``-``, begins and ends with a letter or digit, at most 63 characters), the same input gives the same name, and
different inputs give different names: whatever does not survive as it is brings a hash of the whole identity along.
"""

from __future__ import annotations

import hashlib
import json
import re

MAX_LENGTH = 63
"""Characters that a label value and a DNS label may have (Kubernetes, Object Names and IDs)."""
_HASH_LENGTH = 10
_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_LOOKS_HASHED = re.compile(rf".*-[0-9a-f]{{{_HASH_LENGTH}}}", re.DOTALL)
"""A text that ends as our hashed names do gets a hash of its own, or it could be the name of something else."""


def _digest(*identity: str) -> str:
    # JSON keeps ("a", "bc") and ("ab", "c") apart and has a form for every str, lone surrogates included.
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:_HASH_LENGTH]


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def object_name(readable: str, *identity: str) -> str:
    """A name that shows ``readable`` and is unique for ``identity``.

    Args:
        readable: what a person should recognise; cut and cleaned as needed.
        identity: everything that makes the object this one and not another.
    """
    tail = _digest(*identity)
    head = _slug(readable)[: MAX_LENGTH - _HASH_LENGTH - 1].strip("-") or "elb"
    return f"{head}-{tail}"


def plain_name(prefix: str, *parts: str) -> str:
    """``prefix-part-part`` where that is already valid and short enough, else with a hash at its end."""
    name = "-".join((prefix, *parts))
    if len(name) <= MAX_LENGTH and _slug(name) == name and not _LOOKS_HASHED.fullmatch(name):
        return name
    return object_name(name, prefix, *parts)


def label_value(text: str) -> str:
    """The text itself where it is a valid label value, else a cleaned one with a hash."""
    if _LABEL_VALUE.fullmatch(text) and not _LOOKS_HASHED.fullmatch(text):
        return text
    return object_name(text, text)


def blast_job_name(program: str, database: str, shard: int, batch: int, job_id: str, attempt: int) -> str:
    """The Job that searches one batch in one shard, for one attempt of one search."""
    readable = f"{program}-{database}"[:28] + f"-b{batch:03d}-s{shard:02d}"
    return object_name(readable, program, database, str(shard), str(batch), job_id, str(attempt))


def warmup_job_name(database: str, shard: int) -> str:
    """The Job that brings one shard of a database into its node's memory: ``warm-<db>-<NN>``."""
    return plain_name("warm", database, f"{shard:02d}")


def clean_job_name(database: str, node: str) -> str:
    """The Job that removes a database's folder from a node: ``elb-cache-clean-<db>-<node>``."""
    if "-" in database:  # then the name would not say where the database ends and the node begins
        return object_name(f"elb-cache-clean-{database}-{node}", "elb-cache-clean", database, node)
    return plain_name("elb-cache-clean", database, node)
