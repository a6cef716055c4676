"""What the fields of the requests mean, and what JSON Schema can say of them beyond their types.

It stands here and not beside the fields because the models are imported at every start, and this is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.domain.programs import Program

_CLUSTER = "Of the cluster that is meant; the default cluster's where it is empty."
_CLUSTER_FIELDS = {
    "subscription_id": _CLUSTER,
    "resource_group": _CLUSTER,
    "cluster_name": _CLUSTER,
    "storage_account": "Where databases, queries and results lie; the default account where it is empty.",
}
_DATABASES = "Names of databases, each once."

MEANINGS: Mapping[str, Mapping[str, str]] = {
    "SubmitRequest": {
        "program": "The BLAST+ program.",
        "database": "Name of a database that storage has, cut into shards for the native engine.",
        "query_fasta": "The queries as FASTA, at most 1,000,000 bytes. Either this or `query_blob`.",
        "query_blob": "An upload of the caller's own.",
        "title": "For people.",
        "labels": "Names of letters, digits and `._/-` up to 63 characters; printable values.",
        "options": "BLAST's options.",
        "engine": "`cli` is the elastic-blast command line.",
        "batch_len": "Letters of query in a batch at most; the program's own default where it is null.",
        "priority": "There is one.",
        "cluster": "Where to search.",
        "webhook_url": "Is told, signed, when the search has ended.",
    },
    "OptionFields": {
        "task": "Of the program; null for its own default.",
        "evalue": "E-value at most.",
        "max_target_seqs": "Subjects per query at most.",
        "word_size": "The least depends on program and task.",
        "outfmt": "5, 6, 7 or 10, with columns as BLAST+ takes them; the others on a database in one shard.",
        "extra": "Further options as on a command line, from the allow-list.",
    },
    "EmptyRequest": {},
    "CancelRequest": {"reason": "For the history."},
    "ClusterFields": _CLUSTER_FIELDS,
    "WarmupRequest": _CLUSTER_FIELDS
    | {"database": "Name of the database.", "force": "Also where searches use what lies there."},
    "ShardsRequest": _CLUSTER_FIELDS | {"shards": "Into how many."},
    "AutoWarmFields": {"databases": _DATABASES, "enabled": "Whether it is to work at all."},
    "StartRequest": _CLUSTER_FIELDS | {"auto_warm": "What the cluster is to have warm; null leaves it as it is."},
    "StopRequest": _CLUSTER_FIELDS | {"force": "Also under searches that are at work."},
    "PreferenceRequest": _CLUSTER_FIELDS
    | {
        "databases": f"{_DATABASES} The whole list; not with `add` or `remove`.",
        "add": _DATABASES,
        "remove": f"{_DATABASES} One that is not listed is fine.",
        "enabled": "Whether it is to work at all; left as it is where it is null.",
    },
}
"""Model -> field -> what it means."""

_NAMES = {"uniqueItems": True}
RULES: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("SubmitRequest", "program"): {"enum": [program.value for program in Program]},
    ("SubmitRequest", "labels"): {
        "propertyNames": {"pattern": "^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$"},
        "additionalProperties": {"type": "string", "maxLength": 200},
    },
    ("PreferenceRequest", "add"): _NAMES,
    ("PreferenceRequest", "remove"): _NAMES,
}
"""Model and field -> keywords of JSON Schema that its type does not give."""


def explain(name: str, schema: dict[str, Any]) -> None:
    """Write meanings and rules into the schema of a request's model."""
    for field, meaning in MEANINGS.get(name, {}).items():
        if field in schema["properties"]:
            schema["properties"][field].setdefault("description", meaning)
            schema["properties"][field] |= RULES.get((name, field), {})
