"""Pages of lists: the limit, and a cursor that is opaque to the caller."""

from __future__ import annotations

import base64
import binascii
import re

import azure.functions as func

from shared.domain.errors import InvalidInputError, MalformedError
from shared.domain.search_filter import SearchFilter
from shared.domain.states import Status

DEFAULT_LIMIT = 50
MAX_LIMIT = 500
MAX_FILTER = 200
"""Characters of a filter: a title and the name of a database have no more (``triggers.requests.SubmitRequest``)."""
_ROW_KEY = re.compile(r"(s:)?[0-9a-f]{32}")
_EVENT_KEY = re.compile(r"\d{15}-[0-9a-f]{12}", re.ASCII)


def read_limit(req: func.HttpRequest) -> int:
    """``?limit=``, 1 to 500. Raises MalformedError ``invalid_limit``."""
    text = req.params.get("limit", str(DEFAULT_LIMIT))
    if not re.fullmatch(r"\d{1,4}", text, re.ASCII) or not 1 <= int(text) <= MAX_LIMIT:
        raise MalformedError("invalid_limit", "limit is not a number from 1 to 500", "leave it out for 50")
    return int(text)


def read_filter(req: func.HttpRequest) -> SearchFilter:
    """``?status=``, ``?program=``, ``?db=`` and ``?q=``.

    Raises:
        InvalidInputError: ``unknown_status``; ``filter_too_long``, which nothing could match, and no URL of the tables'
            could hold.
    """
    asked = {name: req.params.get(name) or "" for name in ("status", "program", "db", "q")}
    for name, value in asked.items():
        if len(value) > MAX_FILTER:
            raise InvalidInputError(
                "filter_too_long",
                f"{name} has {len(value)} characters",
                f"no more than {MAX_FILTER} can match",
                field=name,
            )
    status, program, database, text = asked.values()
    if status and status not in set(Status):
        raise InvalidInputError("unknown_status", "unknown status", f"use one of {', '.join(Status)}", field="status")
    return SearchFilter(status, program, database, text)


def read_cursor(req: func.HttpRequest) -> str | None:
    """``?cursor=`` of a list of searches, as a row key. Raises MalformedError ``invalid_cursor``."""
    return _read_cursor(req, _ROW_KEY)


def read_event_cursor(req: func.HttpRequest) -> str | None:
    """``?cursor=`` of a history, as a row key. Raises MalformedError ``invalid_cursor``."""
    return _read_cursor(req, _EVENT_KEY)


def _read_cursor(req: func.HttpRequest, form: re.Pattern[str]) -> str | None:
    text = req.params.get("cursor")
    if not text:
        return None
    try:
        key = base64.urlsafe_b64decode(text.encode()).decode()
    except (ValueError, binascii.Error):
        key = ""
    if not form.fullmatch(key) or write_cursor(key) != text:
        raise MalformedError("invalid_cursor", "the cursor is not one of ours", "begin again without a cursor")
    return key


def write_cursor(row_key: str | None) -> str | None:
    """A row key as a cursor."""
    return None if row_key is None else base64.urlsafe_b64encode(row_key.encode()).decode()
