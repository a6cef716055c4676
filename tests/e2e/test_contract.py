"""schemathesis against the whole stack: requests that nobody thought of, held against the API's own document.

Its settings, and the reason of each that lets something pass, are in ``schemathesis.toml`` beside this file.

The stack takes bearer tokens (``AUTH_MODE=jwt``), so that the document asks for them and the check ``ignored_auth``
sends requests again without one and with a wrong one.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.stack.stack import Stack
from tests.contract import find_operation
from tests.e2e.product import QUERIES, Product
from tests.unit.key_server import AUDIENCE, TENANT, key_server, token
from triggers.contract.document import OPERATIONS

ROOT = Path(__file__).parents[2]
SETTINGS = Path(__file__).with_name("schemathesis.toml")
SECONDS = 900
"""After which a run is given up; the longest takes 30 to 60 s on two cores."""
TOKEN = token(roles=["user", "operator"], exp=int(time.time()) + 86_400)
PHASES = {"examples", "coverage", "fuzzing", "stateful"}
DESTRUCTIVE = {
    "blast_jobs_delete": ("--include-tag=Searches", "--phases=fuzzing,stateful"),
    "aks_stop": ("--include-operation-id=aks_stop", "--phases=coverage,fuzzing"),
}
"""Operations that take away what the others need -> what schemathesis is told where their turn comes, in this order. A
cluster that does not run answers nothing, so that everything else would be a 503."""
NEVER_ACCEPTED = {"blast_jobs_notify": "nobody but a Job has its token"}
"""Operations of which no request can succeed here."""


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory, sample_database: Path) -> Iterator[Product]:
    """A stack of its own: everything on it may be deleted, stopped and released."""
    with key_server("k1") as tenant:
        identity = {
            "AUTH_MODE": "jwt",
            "AUTH_TENANT_ID": TENANT,
            "AUTH_AUDIENCE": AUDIENCE,
            "AUTH_KEYS_URL": tenant.url,
        }
        with Stack(tmp_path_factory.mktemp("contract"), fresh=True, settings=identity) as stack:
            yield from prepared(stack, sample_database)


def prepared(stack: Stack, sample_database: Path) -> Iterator[Product]:
    """The stack with the sample database warm, as an operator uses it."""
    product = Product(stack, sample_database)
    product.http.headers["Authorization"] = f"Bearer {TOKEN}"
    product.prepare()
    yield product
    product.close()


@pytest.fixture(scope="module")
def settings(product: Product, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The settings with ids of what there is: a search that has ended, one of its Jobs, an upload."""
    job_id = product.submit()
    assert product.wait_end(job_id)["status"] == "completed"
    upload = product.http.post("/blast/queries/uploads").json()
    put = {"x-ms-blob-type": "BlockBlob"}
    httpx.put(upload["upload_url"], content=QUERIES.read_bytes(), headers=put).raise_for_status()
    cancelled = product.submit(title="to be cancelled")
    product.http.post(f"/blast/jobs/{cancelled}/cancel")
    assert product.wait_end(cancelled)["status"] == "cancelled"
    text = SETTINGS.read_text()
    for name, value in {
        "UPLOAD_ID": upload["upload_id"],
        "JOB_ID": job_id,
        "CANCELLED_ID": cancelled,
        "KUBERNETES_JOB": product.detail(job_id)["kubernetes"]["jobs"][0]["name"],
    }.items():
        assert text.count(f'"{name}"') == 1
        text = text.replace(f'"{name}"', f'"{value}"')
    folder = tmp_path_factory.mktemp("schemathesis")
    (folder / "openapi.json").write_bytes(product.http.get("/openapi.json").content)
    written = folder / SETTINGS.name
    written.write_text(text)
    return written


def run(product: Product, settings: Path, *arguments: str) -> dict[str, Any]:
    """What schemathesis reports."""
    written = settings.with_name("report.json")
    command = [
        str(Path(sys.executable).with_name("st")),
        f"--config-file={settings}",
        "run",
        "openapi.json",  # from a file: the tool passes over the route that it reads the document from
        f"--url={product.stack.api.removesuffix('/api')}",
        f"--header=Authorization: Bearer {TOKEN}",
        "--no-color",
        "--report=json",
        f"--report-json-path={written}",
        *arguments,
    ]
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=settings.parent, env=environ, capture_output=True, text=True, timeout=SECONDS)
    print(done.stdout[-20_000:], done.stderr[-5_000:])
    found: dict[str, Any] = json.loads(written.read_text())
    return found


@pytest.fixture(scope="module")
def report(product: Product, settings: Path) -> dict[str, Any]:
    """All operations but those that take away what the others need."""
    return run(product, settings, *(f"--exclude-operation-id={name}" for name in DESTRUCTIVE))


def test_nothing_is_found(report: dict[str, Any]) -> None:
    assert found_in(report) == (0, [], [])
    assert report["complete"]


def test_everything_was_looked_at(report: dict[str, Any]) -> None:
    operations = report["operations"]
    assert (operations["tested"], operations["skipped"]) == (len(OPERATIONS) - len(DESTRUCTIVE), 0)
    assert {name for name, phase in report["phases"].items() if phase["status"] == "success"} == PHASES
    assert report["test_cases"]["generated"] > 2000


def test_requests_got_past_the_first_check_of_every_operation(report: dict[str, Any]) -> None:
    """Or the run would say little of what lies behind it."""
    accepted = {label: sum(phase["accepted"] for phase in how.values()) for label, how in report["valid_rates"].items()}
    print(accepted)
    labels = {f"{operation.method} {operation.path}": operation.name for operation in OPERATIONS}
    assert {name for label, name in labels.items() if not accepted.get(label)} == {*NEVER_ACCEPTED, *DESTRUCTIVE}


@pytest.mark.parametrize("name", DESTRUCTIVE)
def test_nor_is_it_while_things_are_taken_away(
    product: Product, settings: Path, report: dict[str, Any], name: str
) -> None:
    """After the others: searches are deleted in whatever state they are, then the cluster is stopped."""
    report = run(product, settings, *DESTRUCTIVE[name])
    assert found_in(report) == (0, [], [])
    label = next(f"{operation.method} {operation.path}" for operation in OPERATIONS if operation.name == name)
    assert sum(phase["accepted"] for phase in report["valid_rates"][label].values()) > 0


def test_every_route_was_asked_without_an_identity(product: Product, report: dict[str, Any]) -> None:
    """The check ``ignored_auth`` looks at nothing where it finds no scheme; the host's log says what came of it."""
    asked = re.findall(r"\b(GET|POST|PUT|DELETE) (/[^ ?]*)\S* 401 ", product.stack.home.log("host").read_text())
    refused = {operation.name for found in asked if (operation := find_operation(*found)) is not None}
    assert refused == {operation.name for operation in OPERATIONS if operation.access in ("user", "operator")}


def found_in(report: dict[str, Any]) -> tuple[int, list[Any], list[Any]]:
    """Exit code, failures and errors of a run."""
    return report["exit_code"], report["failures"], report["errors"]
