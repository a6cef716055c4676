"""JSON Schema of the models, as OpenAPI 3.1 has it (https://spec.openapis.org/oas/v3.1.1.html#schema-object)."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, override

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from triggers.contract.operation import Body, Operation
from triggers.contract.requests import explain

REFERENCE = "#/components/schemas/"
Json = dict[str, Any]


class _Generator(GenerateJsonSchema):
    """Pydantic's, without a title that repeats each field's name."""

    @override
    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def reference(name: str) -> Json:
    """A reference to a schema of the document."""
    return {"$ref": REFERENCE + name}


def body_name(body: Body) -> str:
    """Name of the schema of a JSON body; where all fields may be left out it is one of its own."""
    assert body.model is not None  # noqa: S101  # only asked of a JSON body
    return f"Partial{body.model.__name__}" if body.partial else body.model.__name__


def component_schemas(operations: Iterable[Operation], error: type[BaseModel]) -> Json:
    """Every schema that the operations need, by name, in the order of the alphabet."""
    found: list[Operation] = list(operations)
    bodies = [operation.body for operation in found if operation.body is not None and operation.body.model is not None]
    answers = [model for operation in found for answer in operation.answers.values() for model in answer.models]
    wanted = dict.fromkeys((body.model, "validation") for body in bodies if body.model is not None)
    wanted |= dict.fromkeys((model, "serialization") for model in [*answers, error])
    _, made = models_json_schema(
        list(wanted),  # type: ignore[arg-type]  # the modes are literals
        ref_template=REFERENCE + "{model}",
        schema_generator=_Generator,
    )
    schemas: Json = made["$defs"]
    for name, schema in schemas.items():
        explain(name, schema)
    for body in bodies:
        if body.partial and body.model is not None:
            partial = copy.deepcopy(schemas[body.model.__name__])
            partial.pop("required", None)
            schemas[body_name(body)] = partial
    return {name: _without_title(schemas[name]) for name in sorted(schemas)}


def _without_title(schema: Json) -> Json:
    return {key: value for key, value in schema.items() if key != "title"}
