"""What the models of all answers share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
"""RFC 3339, UTC."""


class Shown(BaseModel):
    """An object of an answer. Later releases may add fields, so a client passes over those that it does not know."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class OpenShown(Shown):
    """An object of an answer that has more fields than are named here."""

    model_config = ConfigDict(extra="allow")


def maybe() -> Any:
    """A field that is not in every answer; one that is always there and may be null is typed so instead."""
    return Field(default=None, json_schema_extra=_without_default)


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


class FieldError(Shown):
    """What is wrong with one field."""

    field: str
    """Dotted, as in `options.outfmt`."""
    message: str


class Problem(Shown):
    """An error."""

    code: Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]
    """Stable, for programs."""
    message: str
    """What happened, naming the value."""
    hint: str
    """What to do."""
    details: list[FieldError] = maybe()
    """One for each wrong field, where it is about fields."""


class ErrorReply(Shown):
    """The body of every answer from 400 on."""

    error: Problem


class InstanceAccepted(Shown):
    """Work was begun that takes longer than a request."""

    instance_id: str
    status_url: str
    """Where to ask how it stands; also in the header `Location`."""
