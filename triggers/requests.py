"""Request models: what a body may hold, read once at the edge and handed on as plain values."""

from __future__ import annotations

import json
from typing import Any, Literal, NoReturn

import azure.functions as func
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.clients.provider import clients
from shared.config import Settings
from shared.domain.errors import InvalidInputError, MalformedError, PermanentError, TooLargeError
from shared.domain.search import ClusterRef
from shared.domain.webhook_urls import MAX_URL

MAX_BODY_BYTES = 2_000_000
_AZURE_NAME = r"^([A-Za-z0-9._()-]*[A-Za-z0-9_()-])?$"
"""No name of Azure ends with a period (its naming rules), so that ``..`` is none either: names become parts of URLs."""


class Request(BaseModel):
    """A body. Unknown fields are refused, so that a misspelt one is not silently without effect."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ClusterFields(Request):
    """Which cluster and storage; all optional where the app has a default cluster."""

    subscription_id: str = Field("", max_length=64, pattern=_AZURE_NAME)
    resource_group: str = Field("", max_length=90, pattern=_AZURE_NAME)
    cluster_name: str = Field("", max_length=63, pattern=_AZURE_NAME)
    storage_account: str = Field("", pattern=r"^([a-z0-9]{3,24})?$")

    def resolve(self, settings: Settings) -> ClusterRef:
        """The cluster that is meant: the fields given, the default's for the others.

        Raises:
            InvalidInputError: ``cluster_required``.
        """
        default = settings.cluster or ClusterRef("", "", "", settings.default_storage_account)
        subscription = self.subscription_id or default.subscription_id
        group = self.resource_group or default.resource_group
        cluster = self.cluster_name or default.cluster_name
        if not (subscription and group and cluster):
            raise InvalidInputError(
                "cluster_required",
                "the request names no whole cluster",
                "give subscription_id, resource_group and cluster_name, or set ELB_DEFAULT_CLUSTER",
                field="cluster",
            )
        return ClusterRef(subscription, group, cluster, self.storage_account or default.storage_account)


class OptionFields(Request):
    """BLAST's options; what is not here goes into ``extra``."""

    task: str | None = Field(None, max_length=40)
    evalue: float | int | None = Field(None, gt=0, le=1e6, allow_inf_nan=False)
    max_target_seqs: int | None = Field(None, ge=1, le=100_000)
    word_size: int | None = Field(None, ge=2, le=10_000)
    outfmt: str | int | None = Field(None)
    extra: str | None = Field(None, max_length=1000)


class SubmitRequest(Request):
    """``POST /api/blast/jobs``."""

    program: str = Field(max_length=20)
    database: str = Field(max_length=200)
    query_fasta: str | None = None
    query_blob: str | None = Field(None, max_length=1024)
    title: str = Field("", max_length=200)
    labels: dict[str, str] = Field(default_factory=dict, max_length=20)
    options: OptionFields = Field(default_factory=OptionFields)  # type: ignore[arg-type]
    engine: Literal["native", "cli"] = "native"
    batch_len: int | None = Field(None, ge=1, le=1_000_000_000)
    priority: Literal["normal"] = "normal"
    cluster: ClusterFields = Field(default_factory=ClusterFields)  # type: ignore[arg-type]
    webhook_url: str | None = Field(None, max_length=MAX_URL)


class StorageFields(Request):
    """Which storage, where only that is needed; the default account where it is left out."""

    storage_account: str = Field("", pattern=r"^([a-z0-9]{3,24})?$")


class EmptyRequest(Request):
    """A body that says nothing: what is misspelt or misplaced is refused all the same."""


class WarmupRequest(ClusterFields):
    """``POST /api/warmup/start`` and ``POST /api/warmup/release``."""

    database: str = Field(max_length=200)
    force: bool = False


class ShardsRequest(ClusterFields):
    """``POST /api/blast/databases/{db}/shards``."""

    shards: int = Field(ge=1, le=1000)


class AutoWarmFields(Request):
    """The auto-warm preference that a start may bring along; what is left out stays as it is."""

    databases: list[str] | None = Field(None, max_length=100)
    enabled: bool | None = None


class StartRequest(ClusterFields):
    """``POST /api/aks/start``."""

    auto_warm: AutoWarmFields | None = None


class StopRequest(ClusterFields):
    """``POST /api/aks/stop``."""

    force: bool = False


def read_body[Model: BaseModel](req: func.HttpRequest, model: type[Model]) -> Model:
    """The body as a model.

    Raises:
        MalformedError, TooLargeError: as ``read_object``.
        PermanentError: ``invalid_request``, well-formed but wrong, with the fields.
    """
    return as_model(read_object(req), model)


def asked_cluster(req: func.HttpRequest) -> ClusterRef:
    """The cluster that a GET's query means, the default one where it names none.

    Raises:
        InvalidInputError: ``cluster_required``.
        PermanentError: ``invalid_request``.
    """
    fields = {name: req.params[name] for name in ClusterFields.model_fields if name in req.params}
    return as_model(fields, ClusterFields).resolve(clients().settings)


def as_model[Model: BaseModel](data: dict[str, Any], model: type[Model]) -> Model:
    """A JSON object as a model. Raises PermanentError ``invalid_request`` with the fields."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        _refuse(error)


def read_object(req: func.HttpRequest) -> dict[str, Any]:
    """The body as a JSON object; an empty body is an empty object.

    Raises:
        MalformedError: not JSON, or not an object.
        TooLargeError: over 2 MB.
    """
    raw = req.get_body()
    if len(raw) > MAX_BODY_BYTES:
        raise TooLargeError("body_too_large", f"the body has {len(raw)} bytes", f"send at most {MAX_BODY_BYTES}")
    try:
        data: Any = json.loads(raw or b"{}")
    except (ValueError, RecursionError) as error:
        raise MalformedError("not_json", f"the body is not JSON: {error}", "send a JSON object") from error
    if not isinstance(data, dict):
        raise MalformedError("not_an_object", "the body is JSON, but not an object", "send a JSON object")
    return data


def _refuse(error: ValidationError) -> NoReturn:
    details = tuple(
        {"field": ".".join(str(part)[:100] for part in item["loc"]), "message": item["msg"]}
        for item in error.errors(include_url=False, include_input=False)[:20]
    )
    first = details[0]
    raise PermanentError(
        "invalid_request", f"{first['field']}: {first['message']}", "see the API document", details=details
    )
