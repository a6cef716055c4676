"""The page: its shell at ``/`` and its files under ``assets/``, for anybody; what it shows comes from the API.

The files are those that ``web/`` was built into. They are read once; only what is among them can be asked for, so that
no path of a request ever meets the disk.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import azure.functions as func

from shared.domain.errors import NotFoundError
from shared.responses import Reply, anonymous
from triggers.blueprint import http

BUILT = Path(__file__).parents[1] / "web" / "dist"
SHELL = "index.html"
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
"""What the page may consist of; anything else in the folder is not served."""
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""Nothing but the page's own files, no inline script or style, in nobody's frame."""
_SHELL_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file of the page; ``tag`` is its ETag."""

    content: bytes
    content_type: str
    tag: str


@lru_cache(maxsize=4)
def page_files(folder: Path) -> dict[str, PageFile]:
    """The built files by their path below the folder; none where nothing was built."""
    return {
        file.relative_to(folder).as_posix(): _read(file)
        for file in sorted(folder.rglob("*"))
        if file.suffix in TYPES and file.is_file()
    }


def _read(file: Path) -> PageFile:
    content = file.read_bytes()
    return PageFile(content, TYPES[file.suffix], f'"{hashlib.sha256(content).hexdigest()[:32]}"')


@http("{ignored:maxlength(0)?}", "GET", name="page_shell")
@anonymous
def page_shell(req: func.HttpRequest) -> Reply:
    """The shell. It is asked for again each time, and names its files by their content."""
    return _answer(req, SHELL, _SHELL_HEADERS)


@http("assets/{*path}", "GET", name="page_assets")
@anonymous
def page_assets(req: func.HttpRequest) -> Reply:
    """A file of the page. A name with the content's hash in it never changes its meaning."""
    name = f"assets/{req.route_params.get('path') or ''}"
    hashed = name.rpartition(".")[0].rpartition("-")[2]
    return _answer(req, name, {"Cache-Control": _FOR_EVER if len(hashed) == _HASH_LENGTH else "no-cache"})


_HASH_LENGTH = 8
"""Of Vite's file names: https://rollupjs.org/configuration-options/#output-assetfilenames."""


def _answer(req: func.HttpRequest, name: str, headers: dict[str, str]) -> Reply:
    file = page_files(BUILT).get(name)
    if file is None:
        hint = "build the page: make page" if not page_files(BUILT) else "reload the page: it may be an old one"
        raise NotFoundError("page_file_not_found", "the page has no such file", hint)
    headers = {**headers, "ETag": file.tag}
    if req.headers.get("If-None-Match") == file.tag:
        return Reply(status=304, headers=headers, content=b"", content_type=file.content_type)
    return Reply(headers=headers, content=file.content, content_type=file.content_type)
