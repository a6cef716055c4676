"""Watches every handler that a test calls: what it answers, which parameters it asks for, which models it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

import azure.functions as func
import pytest
from pydantic import BaseModel

from shared import responses
from shared.responses import Reply
from tests.contract import BY_NAME, differences, undeclared
from tests.registered import app_functions
from triggers.contract.operation import Operation
from triggers.requests import ClusterFields, StorageFields

_CURRENT: ContextVar[Operation | None] = ContextVar("operation", default=None)


@cache
def operations_by_handler() -> dict[str, Operation]:
    """Name of each handler -> its operation, as the app registers them."""
    return {
        function.get_user_function().__name__: BY_NAME[name]
        for function in app_functions()
        if (name := function.get_function_name()) in BY_NAME
    }


class _Watched(Mapping[str, str]):
    """Parameters or headers of a request that tell what is asked of them by name; a copy of all asks for none."""

    def __init__(self, inner: Mapping[str, str], asked: Callable[[str], None]) -> None:
        self._inner, self._asked = inner, asked

    def __getitem__(self, name: str) -> str:
        return self._inner[name]

    def __contains__(self, name: object) -> bool:
        self._asked(str(name))
        return name in self._inner

    def get(self, name: str, default: Any = None) -> Any:
        self._asked(name)
        return self._inner.get(name, default)

    def items(self) -> Any:
        return self._inner.items()

    def __iter__(self) -> Iterator[str]:
        return iter(self._inner)

    def keys(self) -> Any:
        return self._inner.keys()

    def __len__(self) -> int:
        return len(self._inner)


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail at the end if anything that happened is not as the document says."""
    found: list[str] = []
    real_answer = responses.answer

    def answer(handler: Callable[[], Reply], name: str) -> func.HttpResponse:
        operation = operations_by_handler().get(name)
        token = _CURRENT.set(operation)
        try:
            response = real_answer(handler, name)
        finally:
            _CURRENT.reset(token)
        if operation is None:
            return response
        headers = {**response.headers, "Content-Type": response.mimetype}
        found.extend(differences(operation, response.status_code, headers, response.get_body()))
        return response

    monkeypatch.setattr(responses, "answer", answer)
    for where, attribute in (("query", "params"), ("header", "headers")):
        _watch_property(monkeypatch, where, attribute, found)
    _watch_models(monkeypatch, found)
    yield
    if found:
        pytest.fail("\n".join(found))


def _watch_property(monkeypatch: pytest.MonkeyPatch, where: str, attribute: str, found: list[str]) -> None:
    real: Any = getattr(func.HttpRequest, attribute)

    def asked(name: str) -> None:
        operation = _CURRENT.get()
        if operation is not None and undeclared(operation, where, name):
            found.append(f"{operation.name} reads {where} {name}, which it is not said to")

    monkeypatch.setattr(func.HttpRequest, attribute, property(lambda self: _Watched(real.fget(self), asked)))


def _watch_models(monkeypatch: pytest.MonkeyPatch, found: list[str]) -> None:
    real = BaseModel.model_validate.__func__  # type: ignore[attr-defined]  # of a class method

    def validate(cls: type[BaseModel], *args: Any, **kwargs: Any) -> Any:
        operation = _CURRENT.get()
        if operation is not None:
            body = operation.body.model if operation.body else None
            names = {parameter.name for parameter in operation.parameters if parameter.where == "query"}
            queries = [model for model in (ClusterFields, StorageFields) if names >= set(model.model_fields)]
            if cls not in (body, *queries):
                found.append(f"{operation.name} reads {cls.__name__}, which it is not said to")
        return real(cls, *args, **kwargs)

    monkeypatch.setattr(BaseModel, "model_validate", classmethod(validate))
