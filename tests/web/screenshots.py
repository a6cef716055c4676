"""Makes the pictures of README and docs anew, from a real stack: ``make screenshots``."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, sync_playwright

from local.stack.stack import Stack
from tests.e2e.product import Product, wait_for
from tests.web.conftest import CHROMIUM_ARGUMENTS

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SIZE: ViewportSize = {"width": 1200, "height": 800}
LONG: ViewportSize = {"width": 1200, "height": 1500}
"""So that the picture of the hits and the first rows of the table are there."""


def main() -> None:
    """One stack, a few searches, a picture of each view."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "database"
        build = [sys.executable, "-m", "local.sample.build", "--out", str(database)]
        subprocess.run(build, check=True, capture_output=True)
        with Stack(Path(folder) / "stack", fresh=True) as stack:
            product = Product(stack, database)
            product.prepare()
            ended, running = searches(product)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_ARGUMENTS)
                light = browser.new_context(viewport=SIZE).new_page()
                take(light, stack, "searches", "searches")
                take(browser.new_context(viewport=LONG).new_page(), stack, f"searches/{ended}", "search")
                take(light, stack, f"searches/{running}", "running")
                take(light, stack, "databases", "databases")
                dark = browser.new_context(viewport=SIZE, color_scheme="dark").new_page()
                take(dark, stack, "cluster", "cluster")
                browser.close()
            product.close()


def searches(product: Product) -> tuple[str, str]:
    """One that has ended and one that runs, among others."""
    for title in ("isolates of ward 3", "plasmids, second run"):
        product.wait_end(product.submit(title=title))
    ended = product.submit(title="resistance genes of 40 isolates")
    product.wait_end(ended)
    running = product.submit(title="the whole collection")
    product.pace(running, 90)
    wait_for(lambda: True if product.detail(running)["progress"]["running"] else None, 30, "a running search")
    return ended, running


def take(page: Page, stack: Stack, address: str, name: str) -> None:
    """A picture of a view, once all that it asks for has come."""
    page.goto(f"{stack.api.removesuffix('/api')}/#/{address}")
    page.wait_for_timeout(2500)
    page.screenshot(path=str(IMAGES / f"{name}.png"))


if __name__ == "__main__":
    main()
