"""Result files to disk: resumed where an earlier attempt ended, checked by SHA-256, and in place only when whole.

What has arrived lies in ``.<name>.<beginning of its SHA-256>.part`` beside the target, so that only the same content is
ever continued.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any

import httpx

from elb.api import Api
from elb.errors import ClientError, DownloadError, Exit, RefusedError, UnreachableError
from elb.retries import GATEWAY, NOT_NOW, backoff

TRIES = 6
"""Attempts in a row that bring not one byte, after which a download is given up."""
_BLOCK = 1 << 20
_FIRST_BYTE = re.compile(r"bytes (\d{1,18})-")
Seen = Callable[[int], None]
"""Told how many bytes of the file are there."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file of a manifest.

    Args:
        name: below which it is saved.
        size: in bytes.
        sha256: lower-case hexadecimal.
        url: where it is.
    """

    name: str
    size: int
    sha256: str
    url: str

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Wanted:
        """A row of the API's manifest.

        Raises:
            DownloadError: ``manifest_invalid``.
        """
        try:
            wanted = cls(
                file_name(str(row["name"])), int(row["size"]), str(row["sha256"]).lower(), str(row["url"] or "")
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DownloadError("manifest_invalid", f"a row of the manifest cannot be read: {error!r}") from error
        if not (re.fullmatch(r"[0-9a-f]{64}", wanted.sha256) and wanted.size >= 0 and wanted.url):
            raise DownloadError("manifest_invalid", f"the manifest has no SHA-256, size or address for {wanted.name}")
        return wanted


def file_name(given: str) -> str:
    """The last part of a name: one from outside never chooses another folder, on any system.

    Raises:
        ValueError: nothing is left.
    """
    name = PureWindowsPath(PurePosixPath(given).name).name
    if name in ("", ".", "..") or not name.isprintable():
        raise ValueError(given)
    return name


def fetch(api: Api, wanted: Wanted, folder: Path, seen: Seen, *, force: bool = False) -> str:
    """Bring a file into a folder.

    Args:
        api: where from.
        wanted: the file.
        folder: made when it is not there.
        seen: told of the progress.
        force: replace another file of that name.

    Returns:
        ``present`` where it was there already, else ``resumed`` or ``downloaded``.

    Raises:
        DownloadError: ``file_exists``, ``checksum_mismatch``.
        ClientError: the API refused, or did not answer any more; again, it goes on where it ended.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / wanted.name
    if target.exists():
        if target.is_file() and target.stat().st_size == wanted.size and _sha256(target) == wanted.sha256:
            return "present"
        if not force or not target.is_file():
            raise DownloadError(
                "file_exists", f"{target} is there with another content", "choose another folder, or add --force"
            )
    with (folder / f".{wanted.name}.{wanted.sha256[:16]}.part").open("a+b") as part:
        transfer = _Transfer(api, wanted, part, seen)
        resumed = transfer.have > 0
        transfer.complete()
        if transfer.digest.hexdigest() != wanted.sha256 and resumed:  # what lay there was not its beginning
            transfer.keep(0)
            transfer.complete()
        right = transfer.digest.hexdigest() == wanted.sha256
        own = Path(part.name)
    if not right:
        own.unlink()
        raise DownloadError(
            "checksum_mismatch",
            f"{wanted.name} arrived with another SHA-256 than the manifest has",
            "download it again",
        )
    own.replace(target)
    return "resumed" if resumed else "downloaded"


class _Transfer:
    """A file on its way."""

    def __init__(self, api: Api, wanted: Wanted, part: IO[bytes], seen: Seen) -> None:
        self._api, self._wanted, self._part, self._seen = api, wanted, part, seen
        self.have = 0
        self.digest = hashlib.sha256()
        self.keep(min(Path(part.name).stat().st_size, wanted.size))

    def keep(self, size: int) -> None:
        """Go on from here: what lies behind goes, what lies before counts."""
        self._part.truncate(size)
        self.have, self.digest = size, hashlib.sha256()
        self._part.seek(0)
        while block := self._part.read(_BLOCK):
            self.digest.update(block)
        self._seen(size)

    def complete(self) -> None:
        """Get what is missing, over as many connections as it takes."""
        tries = 0
        while self.have < self._wanted.size:
            before = self.have
            try:
                self._connect()
                failed: ClientError = DownloadError("too_short", f"{self._wanted.name} ended after {self.have} bytes")
            except httpx.TransportError as error:
                failed = UnreachableError("connection_lost", f"{self._wanted.name}: {error!r}")
            except ClientError as error:
                if not _may_pass(error):
                    raise
                failed = error
            if self.have == self._wanted.size:
                return
            tries = 1 if self.have > before else tries + 1
            asked = float(failed.about.get("retry_after") or 0)
            if tries >= TRIES or asked > self._api.patience:
                failed.hint = "run the same command again: it goes on where it ended"
                raise failed
            self._api.clock.sleep(max(backoff(tries), asked))

    def _connect(self) -> None:
        headers = {"Range": f"bytes={self.have}-"} if self.have else {}
        with self._api.stream(self._wanted.url, headers) as answer:
            if self.have and answer.status_code == httpx.codes.PARTIAL_CONTENT:
                begins = _FIRST_BYTE.match(answer.headers.get("Content-Range", ""))
                if begins is None or int(begins[1]) != self.have:
                    self.keep(0)
                    return
            elif self.have:  # the whole again, or no such range: ranges are not for this file
                self.keep(0)
                if not answer.is_success:
                    return
            for block in answer.iter_raw():
                self._add(block)

    def _add(self, block: bytes) -> None:
        if self.have + len(block) > self._wanted.size:
            self.keep(0)
            raise DownloadError("too_long", f"{self._wanted.name} has more than its {self._wanted.size} bytes")
        self._part.write(block)
        self.digest.update(block)
        self.have += len(block)
        self._seen(self.have)


def _may_pass(error: ClientError) -> bool:
    if isinstance(error, RefusedError):
        return error.status in (*NOT_NOW, *GATEWAY)
    return error.exit_code is Exit.UNREACHABLE


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
