"""The built page: small, without addresses of others, and untouched by whatever lies beside its sources."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.web.conftest import Site
from triggers.page import BUILT, CONTENT_SECURITY_POLICY

WEB = BUILT.parent
SCRIPT_LIMIT = 100_000
"""Bytes of script, gzipped."""
ADDRESS = re.compile(r"(?:https?|wss?):\\?/\\?/[^\s\"'`<>)]*|localhost|127\.0\.0\.1|:8085")
NAMESPACE = re.compile(r"https?:\\/\\/www\.w3\.org/(?:2000/svg|1999/xhtml|1998/Math/MathML)")


def addresses(folder: Path) -> list[str]:
    """Every address in the built files, but for the names of XML dialects, whose slashes are escaped."""
    texts = [file.read_text() for file in folder.rglob("*") if file.is_file()]
    return [found[0] for text in texts for found in ADDRESS.finditer(NAMESPACE.sub("", text))]


def test_it_was_built_and_is_small() -> None:
    scripts = list(BUILT.rglob("*.js"))
    assert scripts
    packed = sum(len(gzip.compress(script.read_bytes())) for script in scripts)
    print(f"\nscript of the page, gzipped: {packed} bytes")
    assert packed < SCRIPT_LIMIT


@pytest.mark.proves("P4")
def test_it_has_no_address() -> None:
    assert addresses(BUILT) == []
    assert "://" not in "".join(file.read_text() for file in BUILT.rglob("*.*"))


@pytest.mark.proves("P4")
def test_an_environment_file_beside_it_changes_nothing(tmp_path: Path) -> None:
    copy = tmp_path / "web"
    shutil.copytree(WEB, copy, ignore=shutil.ignore_patterns("node_modules", "dist"))
    (copy / "node_modules").symlink_to(WEB / "node_modules")
    hostile = (
        "VITE_API_BASE=http://localhost:8085\nVITE_API_URL=http://localhost:8085\nBASE_URL=http://localhost:8085/\n"
    )
    for name in (".env", ".env.local", ".env.production", ".env.production.local"):
        (copy / name).write_text(hostile)
        (tmp_path / name).write_text(hostile)
    environment = {**os.environ, "VITE_API_BASE": "http://localhost:8085", "PUBLIC_URL": "http://localhost:8085"}
    build = ["node", "node_modules/vite/bin/vite.js", "build", "--logLevel", "error"]
    subprocess.run(build, cwd=copy, env=environment, check=True, timeout=120, capture_output=True)
    assert addresses(copy / "dist") == []
    built = {
        file.relative_to(copy / "dist"): file.read_bytes() for file in (copy / "dist").rglob("*") if file.is_file()
    }
    assert built == {file.relative_to(BUILT): file.read_bytes() for file in BUILT.rglob("*") if file.is_file()}


def test_a_strict_policy_holds_and_the_list_is_painted_soon(site: Site) -> None:
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    site.page.add_init_script(
        """window.refused = [];
        addEventListener('securitypolicyviolation', (event) => window.refused.push(event.violatedDirective));
        new MutationObserver(() => {
          if (window.painted === undefined && document.querySelector('tbody tr')) window.painted = performance.now();
        }).observe(document, { childList: true, subtree: true });"""
    )
    site.product.wait_end(site.product.submit(title="to be listed"))
    times = []
    for view in ("searches", "new", "databases", "cluster", *["searches"] * 4):
        site.page.goto("about:blank")
        site.open(view)
        if view == "searches":
            expect(site.page.locator("tbody tr").first).to_be_visible()
            times.append(float(site.page.evaluate("window.painted")))
        site.page.wait_for_timeout(200)
        assert site.page.evaluate("window.refused") == []
    print(f"\nfirst list painted after {sorted(times)[len(times) // 2]:.0f} ms (median of {len(times)})")
    assert min(times) < 500, "milliseconds; the quickest, because a busy machine slows some"
    inline = site.page.evaluate("document.querySelectorAll('script:not([src]), style, [style], [onclick]').length")
    assert inline == 0
