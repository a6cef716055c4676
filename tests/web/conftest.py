"""A browser on the page of a whole stack."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from local.stack.stack import Stack
from tests.e2e.product import Product

CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""Without these it looks for hosts outside at every start."""


expect.set_options(timeout=30_000)
"""Milliseconds; Playwright's own 5 s are short for a machine that runs all other tests beside."""


class Site:
    """The page in a browser, and the product behind it."""

    def __init__(self, product: Product, page: Page) -> None:
        self.product, self.page = product, page
        self.base = product.stack.api.removesuffix("/api")
        self.said: list[str] = []
        page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.said.append(f"error: {error}"))

    def open(self, address: str = "searches") -> Page:
        """Go to a view, ``searches`` or ``searches/<id>`` and so on, as a bookmark would."""
        self.page.goto(f"{self.base}/#/{address}")
        return self.page

    def problems(self) -> list[str]:
        """What the console has of errors, but for answers of the API that say no."""
        return [line for line in self.said if line.startswith("error") and "Failed to load resource" not in line]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    chromium = shutil.which("chromium")
    assert chromium, "there is no chromium: make tests-setup"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def web_product(tmp_path_factory: pytest.TempPathFactory, sample_database: Path) -> Iterator[Product]:
    """A stack with the sample database in memory, for all tests of the page."""
    with Stack(tmp_path_factory.mktemp("web"), fresh=True) as stack:
        product = Product(stack, sample_database)
        product.prepare()
        yield product
        product.close()


@pytest.fixture
def site(browser: Browser, web_product: Product) -> Iterator[Site]:
    """A fresh tab; nothing in it may have gone wrong at the end of the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    found = Site(web_product, context.new_page())
    yield found
    problems = found.problems()
    context.close()
    assert problems == []


@pytest.fixture
def routed(browser: Browser) -> Iterator[Any]:
    """A function that opens the page with answers of the API written by the test: path pattern -> JSON.

    Or -> (status, JSON or text) or (status, JSON or text, headers), or a function of the request that gives one.
    ``before`` is called with the page before it goes anywhere.
    """
    from triggers.page import BUILT

    contexts = []

    def open_with(
        answers: dict[str, Any],
        address: str = "searches",
        before: Callable[[Page], object] | None = None,
        **options: Any,
    ) -> Page:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()

        def answer(route: Any) -> None:
            path = route.request.url.split("//", 1)[1].partition("/")[2]
            if not path.startswith("api/"):
                file = BUILT / (path.partition("?")[0] or "index.html")
                route.fulfill(path=str(file)) if file.is_file() else route.fulfill(status=404)
                return
            for pattern, body in answers.items():
                if re.search(pattern, path):
                    found = body(route.request) if callable(body) else body
                    status, content, *headers = found if isinstance(found, tuple) else (200, found)
                    as_text = {"body": content} if isinstance(content, str) else {"body": json.dumps(content)}
                    kind = {"Content-Type": "application/json"}
                    route.fulfill(status=status, headers=kind | (headers[0] if headers else {}), **as_text)
                    return
            route.fulfill(status=404, json={"error": {"code": "not_there", "message": "not there", "hint": ""}})

        page.route("**/*", answer)
        if before is not None:
            before(page)
        page.goto(f"http://localhost/#/{address}")
        return page

    yield open_with
    for context in contexts:
        context.close()
