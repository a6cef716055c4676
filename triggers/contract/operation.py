"""What is written down of a route: the words in which the tables of operations are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel

from triggers.contract.base import ErrorReply

JSON = "application/json"


class Access(StrEnum):
    """Who may call."""

    ANYBODY = "anybody"
    JOB = "job"
    """A Job of the search, with the token that was made for it."""
    USER = "user"
    OPERATOR = "operator"


class Tag(StrEnum):
    """The chapters of the document."""

    SEARCHES = "Searches"
    RESULTS = "Results"
    QUERIES = "Queries"
    DATABASES = "Databases"
    WARMUP = "Warmup"
    CLUSTERS = "Clusters"
    SERVICE = "Service"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a path, a query or a header; ``schema`` is JSON Schema."""

    name: str
    where: Literal["path", "query", "header"]
    description: str
    schema: Mapping[str, Any]

    @property
    def required(self) -> bool:
        """Only what is part of the path is."""
        return self.where == "path"


@dataclass(frozen=True, slots=True)
class Body:
    """What a route reads: a JSON object as a model, or something else by its media type.

    Attributes:
        model: of the JSON object; None for a body of another kind.
        partial: whether every field may be left out, also those that the model requires.
        limit_bytes: more than that is 413.
        media: media types of another kind of body; the example is one of the first.
        required: whether there must be one.
    """

    model: type[BaseModel] | None
    description: str
    limit_bytes: int
    required: bool = True
    partial: bool = False
    media: tuple[str, ...] = ()
    example: Mapping[str, Any] | str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """One status that a route answers.

    Attributes:
        models: what the JSON may be; empty for no JSON.
        media: media types of an answer that is not JSON.
        headers: names of headers that it always has, of those in ``document.HEADERS``.
        links: operation -> parameter of its path -> field of this answer's body that is its value.
    """

    description: str
    models: tuple[type[BaseModel], ...] = ()
    media: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    links: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """A route and a method.

    Attributes:
        path: as it is called, with variables in braces.
        name: of the function; the operation's id.
        errors: statuses from 400 on that are this route's own; those that come with ``access`` need not be named.
    """

    method: str
    path: str
    name: str
    tag: Tag
    summary: str
    answers: Mapping[int, Answer]
    access: Access = Access.USER
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    errors: tuple[int, ...] = ()

    @property
    def all_errors(self) -> tuple[int, ...]:
        """Every status from 400 on with the error object."""
        common = {500}
        if self.access is not Access.ANYBODY:
            common |= {503}
        if self.access in (Access.USER, Access.OPERATOR):
            common |= {401, 403}  # a token that grants nothing here is refused everywhere
        if self.access is Access.JOB:
            common |= {403}
        if self.body is not None:
            common |= {413} | ({400, 422} if self.body.model else set())
        return tuple(sorted(common | set(self.errors)))


def ok(*models: type[BaseModel], headers: tuple[str, ...] = (), description: str = "") -> dict[int, Answer]:
    """200 with JSON."""
    return {200: Answer(description or _first_line(models[0]), models, headers=headers)}


def accepted(model: type[BaseModel], links: Mapping[str, Mapping[str, str]] | None = None) -> dict[int, Answer]:
    """202: something goes on after the answer."""
    headers = ("Location", "Retry-After")
    return {202: Answer(_first_line(model), (model,), headers=headers, links=links or {})}


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().split("\n")[0]


ERROR = ErrorReply
"""The model of every status from 400 on."""
