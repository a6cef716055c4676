"""The operations of databases, warmups and clusters."""

from __future__ import annotations

from triggers.auto_warm import PreferenceRequest
from triggers.contract import clusters, databases
from triggers.contract.base import InstanceAccepted
from triggers.contract.operation import Access, Body, Operation, Parameter, Tag, accepted, ok
from triggers.contract.parameters import IDEMPOTENCY_KEY, IF_MATCH, INSTANCE_ID, cluster_query, text
from triggers.requests import MAX_BODY_BYTES, ClusterFields, ShardsRequest, StartRequest, StopRequest, WarmupRequest

_CLUSTER = cluster_query()
_DATABASE = Parameter("db", "path", "Name of a database in storage.", {"type": "string", "maxLength": 200})
_WARMUP = Body(WarmupRequest, "Which database.", MAX_BODY_BYTES, example={"database": "resfinder"})
_WORK = {"warmup_status": {"instance_id": "instance_id"}}
_OPERATION = {"aks_operations": {"instance_id": "instance_id"}}


def _optional(model: type[ClusterFields], description: str) -> Body:
    return Body(model, description, MAX_BODY_BYTES, required=False)


DATABASES = (
    Operation(
        "GET",
        "/api/blast/databases",
        "blast_databases",
        Tag.DATABASES,
        "List databases: storage, warmth, fit, use, allowed actions",
        ok(databases.DatabaseList),
        parameters=_CLUSTER,
        errors=(422,),
    ),
    Operation(
        "POST",
        "/api/blast/databases/{db}/shards",
        "blast_databases_shards",
        Tag.DATABASES,
        "Cut a database into shards",
        accepted(InstanceAccepted, _WORK),
        access=Access.OPERATOR,
        parameters=(_DATABASE,),
        body=Body(ShardsRequest, "Into how many.", MAX_BODY_BYTES, example={"shards": 4}),
    ),
)

WARMUP = (
    Operation(
        "POST",
        "/api/warmup/start",
        "warmup_start",
        Tag.WARMUP,
        "Bring a database into the memory of a cluster's nodes",
        accepted(InstanceAccepted, _WORK),
        access=Access.OPERATOR,
        description="What cannot be warmed ends `failed` with the reason and the numbers; nothing is created then.",
        parameters=(IDEMPOTENCY_KEY,),
        body=_WARMUP,
        errors=(409,),
    ),
    Operation(
        "GET",
        "/api/warmup/{instance_id}/status",
        "warmup_status",
        Tag.WARMUP,
        "Show how a warmup, a release or the preparation of shards stands",
        ok(databases.WarmupWork),
        access=Access.OPERATOR,
        parameters=(INSTANCE_ID,),
        errors=(404,),
    ),
    Operation(
        "GET",
        "/api/warmup/active",
        "warmup_active",
        Tag.WARMUP,
        "List what a cluster is loading now",
        ok(databases.ActiveWarmups),
        access=Access.OPERATOR,
        parameters=_CLUSTER,
        errors=(422,),
    ),
    Operation(
        "POST",
        "/api/warmup/release",
        "warmup_release",
        Tag.WARMUP,
        "Take a database off a cluster's nodes",
        ok(databases.Released) | accepted(InstanceAccepted, _WORK),
        access=Access.OPERATOR,
        description="202 when it takes longer than 20 s. The database is taken off the auto-warm list.",
        body=_WARMUP,
        errors=(409,),
    ),
    Operation(
        "GET",
        "/api/warmup/auto-preference",
        "warmup_auto_preference",
        Tag.WARMUP,
        "Show what a cluster is to have warm by itself",
        ok(databases.PreferenceShown, headers=("ETag",)),
        parameters=_CLUSTER,
        errors=(422,),
    ),
    Operation(
        "PUT",
        "/api/warmup/auto-preference",
        "warmup_auto_preference_save",
        Tag.WARMUP,
        "Change what a cluster is to have warm by itself",
        ok(databases.PreferenceSaved, headers=("ETag",)),
        access=Access.OPERATOR,
        parameters=(IF_MATCH,),
        body=Body(
            PreferenceRequest,
            "The whole list, or names to add and to remove.",
            MAX_BODY_BYTES,
            required=False,
            example={"add": ["core_nt"], "remove": ["nt_viruses"]},
        ),
        errors=(412,),
    ),
    Operation(
        "GET",
        "/api/monitor/aks/warmup-status",
        "monitor_aks_warmup_status",
        Tag.WARMUP,
        "Show per database what a cluster holds or is loading",
        ok(databases.WarmupStatus),
        parameters=(*_CLUSTER, text("database", "Only this database.")),
        errors=(422,),
    ),
)

CLUSTERS = (
    Operation(
        "GET",
        "/api/monitor/aks",
        "monitor_aks",
        Tag.CLUSTERS,
        "List clusters: lifecycle, readiness, counts",
        ok(clusters.ClusterList),
    ),
    Operation(
        "GET",
        "/api/monitor/aks/nodes",
        "monitor_aks_nodes",
        Tag.CLUSTERS,
        "List a cluster's nodes: capacity, use, shards held",
        ok(clusters.NodeList),
        parameters=_CLUSTER,
        errors=(422,),
    ),
    Operation(
        "POST",
        "/api/aks/start",
        "aks_start",
        Tag.CLUSTERS,
        "Start a cluster",
        accepted(InstanceAccepted, _OPERATION),
        access=Access.OPERATOR,
        description="Success where it runs already. `auto_warm` is stored before anything is started.",
        body=_optional(StartRequest, "Which cluster, and what it is to have warm."),
        errors=(409,),
    ),
    Operation(
        "POST",
        "/api/aks/stop",
        "aks_stop",
        Tag.CLUSTERS,
        "Stop a cluster",
        accepted(InstanceAccepted, _OPERATION),
        access=Access.OPERATOR,
        description="Success where it is stopped already.",
        body=_optional(StopRequest, "Which cluster; `force` stops it under searches that are at work."),
        errors=(409,),
    ),
    Operation(
        "GET",
        "/api/aks/operations/{instance_id}",
        "aks_operations",
        Tag.CLUSTERS,
        "Show how an operation on a cluster stands",
        ok(databases.WorkStatus),
        access=Access.OPERATOR,
        parameters=(INSTANCE_ID,),
        errors=(404,),
    ),
    Operation(
        "POST",
        "/api/aks/openapi/deploy",
        "aks_openapi_deploy",
        Tag.CLUSTERS,
        "Deploy elb-openapi, or repair what is there of it",
        accepted(InstanceAccepted, _OPERATION),
        access=Access.OPERATOR,
        body=_optional(ClusterFields, "Which cluster."),
        errors=(409,),
    ),
)
