"""The operations of the service itself."""

from __future__ import annotations

from triggers.contract import service
from triggers.contract.base import ErrorReply
from triggers.contract.operation import Access, Answer, Operation, Tag, ok
from triggers.contract.parameters import text

OPERATIONS = (
    Operation(
        "GET",
        "/health",
        "health_root",
        Tag.SERVICE,
        "Say that the process serves requests",
        ok(service.Alive),
        access=Access.ANYBODY,
    ),
    Operation(
        "GET",
        "/api/health",
        "health",
        Tag.SERVICE,
        "Say that the process serves requests",
        ok(service.Alive),
        access=Access.ANYBODY,
    ),
    Operation(
        "GET",
        "/api/health/ready",
        "health_ready",
        Tag.SERVICE,
        "Ask every dependency",
        ok(service.Readiness)
        | {
            503: Answer(
                "At least one dependency does not answer in time; or the identity of the caller cannot be checked now.",
                (service.Readiness, ErrorReply),
                headers=("Retry-After",),
            )
        },
    ),
    Operation("GET", "/api/me", "me", Tag.SERVICE, "Say who the caller is", ok(service.Me)),
    Operation(
        "GET",
        "/api/stats",
        "stats",
        Tag.SERVICE,
        "Count what has been going on",
        ok(service.Stats),
        description="Over everybody's searches; there is no id, owner, title or query in it.",
        parameters=(
            text(
                "window",
                "How far back to count: seconds, minutes or hours, from 1 minute to 24 hours.",
                pattern="^[0-9]{1,6}[smh]$",
                default="15m",
                examples=["90s", "2h"],
            ),
        ),
        errors=(400,),
    ),
    Operation(
        "GET",
        "/api/openapi.json",
        "openapi",
        Tag.SERVICE,
        "This document",
        {200: Answer("An OpenAPI 3.1 document.", media=("application/json",))},
    ),
    Operation(
        "GET",
        "/api/docs",
        "docs",
        Tag.SERVICE,
        "This document as a page",
        {200: Answer("HTML.", media=("text/html",), headers=("Content-Security-Policy",))},
    ),
)
