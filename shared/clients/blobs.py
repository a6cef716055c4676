"""Blobs of one storage account: read, write, list, and short-lived signed URLs for pods.

Content goes through in blocks; nothing here holds a whole result in memory unless the caller asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import IO, Any, Protocol
from urllib.parse import quote

from shared.clients.blob_copies import copy_blob
from shared.clients.counters import count_storage_call
from shared.clients.credentials import TokenCredential, account_key
from shared.config import Settings
from shared.domain.errors import ConflictError, InvalidInputError, NotFoundError, TransientError
from shared.domain.failures import storage_refusal

DELEGATION_KEY_LIFE = timedelta(hours=48)
"""Longer than any signature asked for, so that one key signs many; Azure allows 7 days."""
BLOCK_BYTES = 4 << 20
"""The most that one transfer holds in memory; the SDK's own sizes are 32 and 64 MiB."""


@dataclass(frozen=True, slots=True)
class BlobItem:
    """One blob of a listing."""

    name: str
    size: int
    etag: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    modified: datetime | None = None
    encoding: str = ""
    """``Content-Encoding``, as whoever wrote it said; only ``stat`` tells it."""


class Blobs(Protocol):
    """Blobs of one account; ``container/name`` addresses a blob."""

    def put(self, container: str, name: str, data: bytes | IO[bytes], content_type: str) -> None:
        """Write a blob, whole or not at all; replaces what was there."""

    def put_blocks(
        self, container: str, name: str, source: Callable[[], Iterable[bytes]], content_type: str, *, new: bool = False
    ) -> None:
        """Write a blob from blocks; whole or not at all. Raises ConflictError where it is to be new and is not."""

    def copy(
        self, container: str, name: str, source: str, content_type: str, *, etag: str = "", new: bool = False
    ) -> None:
        """Copy from a signed URL within storage. Raises ConflictError where the source's ETag is another one."""

    def touch(self, container: str, name: str) -> None:
        """Make a blob as of now."""

    def stat(self, container: str, name: str) -> BlobItem:
        """Size, ETag and time of a blob."""

    def read(self, container: str, name: str) -> bytes:
        """A small blob, whole."""

    def stream(
        self, container: str, name: str, offset: int = 0, length: int | None = None, *, etag: str = ""
    ) -> Iterator[bytes]:
        """A blob in blocks. Raises ConflictError where it has not the ETag, or not any more."""

    def listing(self, container: str, prefix: str) -> list[BlobItem]:
        """All blobs below a prefix."""

    def delete(self, container: str, names: Iterable[str]) -> None:
        """Remove blobs; one that is gone already is fine."""

    def delete_unchanged(self, container: str, item: BlobItem) -> bool:
        """Remove a blob if it is still the one that was listed; whether it is gone."""

    def url(self, container: str, name: str = "", *, permissions: str, life: timedelta) -> str:
        """A signed URL of a blob, or of the container when no name is given."""


class AzureBlobs:
    """Blobs by the Azure SDK.

    Raises (every method): NotFoundError ``blob_not_found``; TransientError ``storage_unavailable``,
    ``storage_role_missing``, ``storage_firewall`` or ``storage_denied`` (a new role takes minutes to act, so that
    asking again may help); where a condition is given, ConflictError ``blob_changed`` or ``blob_exists``.
    """

    def __init__(self, settings: Settings, account: str, credential: TokenCredential) -> None:
        from azure.core.credentials import AzureNamedKeyCredential
        from azure.storage.blob import BlobServiceClient, LinearRetry

        self.account = account
        self._key = account_key(settings, account)
        self._endpoint = settings.blob_endpoint.format(account=account)
        if not self._key and not self._endpoint.startswith("https://"):  # an emulator, to which no token is sent
            raise InvalidInputError(
                "unknown_storage_account", "there is no such storage account", "leave it out", field="storage_account"
            )
        sdk_credential: Any = AzureNamedKeyCredential(account, self._key) if self._key else credential
        self._service = BlobServiceClient(
            self._endpoint,
            credential=sdk_credential,
            # Whoever called tries again, too; the SDK's own waits of 15 s and more are for programs that run alone.
            retry_policy=LinearRetry(backoff=1, retry_total=2, random_jitter_range=1),
            connection_timeout=5,
            max_single_get_size=BLOCK_BYTES,
            max_chunk_get_size=BLOCK_BYTES,
            max_single_put_size=BLOCK_BYTES,
            max_block_size=BLOCK_BYTES,
            raw_request_hook=count_storage_call,
        )
        self._delegation: tuple[datetime, Any] | None = None

    def put(self, container: str, name: str, data: bytes | IO[bytes], content_type: str) -> None:
        """Write a blob, whole or not at all; replaces what was there."""
        from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
        from azure.storage.blob import ContentSettings

        blob = self._service.get_blob_client(container, name)
        settings = ContentSettings(content_type=content_type)
        with _translated(container, name):
            try:
                blob.upload_blob(data, overwrite=True, content_settings=settings)
            except ResourceNotFoundError:  # the container is not there yet: the first write makes it
                with suppress(ResourceExistsError):  # or somebody else did meanwhile
                    self._service.create_container(container)
                if not isinstance(data, bytes):
                    data.seek(0)
                blob.upload_blob(data, overwrite=True, content_settings=settings)

    def put_blocks(
        self, container: str, name: str, source: Callable[[], Iterable[bytes]], content_type: str, *, new: bool = False
    ) -> None:
        """Write a blob from blocks; whole or not at all.

        Args:
            source: gives the blocks, of any size; an error of theirs passes through, and nothing was written.
            new: whether nothing may be there under this name.
        """
        from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
        from azure.storage.blob import ContentSettings

        blob = self._service.get_blob_client(container, name)
        settings = ContentSettings(content_type=content_type)
        with _translated(container, name, conditional=True):
            try:
                blob.upload_blob(iter(source()), overwrite=not new, content_settings=settings)
            except ResourceNotFoundError:  # as above
                with suppress(ResourceExistsError):
                    self._service.create_container(container)
                blob.upload_blob(iter(source()), overwrite=not new, content_settings=settings)

    def copy(
        self, container: str, name: str, source: str, content_type: str, *, etag: str = "", new: bool = False
    ) -> None:
        """Copy a blob within storage and wait for the end; the source is a signed URL."""
        from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

        blob = self._service.get_blob_client(container, name)
        with _translated(container, name, conditional=True):
            try:
                copy_blob(blob, source, content_type, etag=etag, new=new)
            except ResourceNotFoundError as error:
                if getattr(error, "error_code", None) != "ContainerNotFound":
                    raise
                with suppress(ResourceExistsError):
                    self._service.create_container(container)
                copy_blob(blob, source, content_type, etag=etag, new=new)

    def touch(self, container: str, name: str) -> None:
        """Make a blob as of now, by writing its metadata, of which it has none."""
        with _translated(container, name):
            self._service.get_blob_client(container, name).set_blob_metadata({})

    def stat(self, container: str, name: str) -> BlobItem:
        """Size, ETag and time of a blob."""
        with _translated(container, name):
            found = self._service.get_blob_client(container, name).get_blob_properties()
        if found.copy.status == "pending":
            raise TransientError("copy_pending", "storage is still copying the file", "try again in a minute")
        encoding = found.content_settings.content_encoding or ""
        etag = str(found.etag).strip('"')
        return BlobItem(name, found.size, etag, modified=found.last_modified, encoding=encoding)

    def read(self, container: str, name: str) -> bytes:
        """A small blob, whole."""
        with _translated(container, name):
            return self._service.get_blob_client(container, name).download_blob().readall()

    def stream(
        self, container: str, name: str, offset: int = 0, length: int | None = None, *, etag: str = ""
    ) -> Iterator[bytes]:
        """A blob in blocks of up to 4 MiB, as it is stored, whatever ``Content-Encoding`` its writer gave it."""
        from azure.core import MatchConditions

        with _translated(container, name, conditional=bool(etag)):
            client = self._service.get_blob_client(container, name)
            arguments: dict[str, Any] = {"offset": offset, "length": length} if offset or length is not None else {}
            if etag:
                arguments |= {"etag": f'"{etag}"', "match_condition": MatchConditions.IfNotModified}
            yield from client.download_blob(decompress=False, **arguments).chunks()

    def listing(self, container: str, prefix: str) -> list[BlobItem]:
        """All blobs below a prefix; none when the container is not there."""
        try:
            with _translated(container, prefix):
                items = self._service.get_container_client(container).list_blobs(
                    name_starts_with=prefix, include=["metadata"]
                )
                return [
                    BlobItem(b.name, b.size or 0, str(b.etag or "").strip('"'), dict(b.metadata or {}), b.last_modified)
                    for b in items
                ]
        except NotFoundError:
            return []

    def delete(self, container: str, names: Iterable[str]) -> None:
        """Remove blobs; one that is gone already is fine."""
        for name in names:
            try:
                with _translated(container, name):
                    self._service.get_blob_client(container, name).delete_blob(delete_snapshots="include")
            except NotFoundError:
                continue

    def delete_unchanged(self, container: str, item: BlobItem) -> bool:
        """Remove a blob if it is still the one that was listed; whether it is gone."""
        from azure.core import MatchConditions

        try:
            with _translated(container, item.name, conditional=True):
                # With snapshots, which whoever has a signed URL to write may have made.
                self._service.get_blob_client(container, item.name).delete_blob(
                    delete_snapshots="include", etag=f'"{item.etag}"', match_condition=MatchConditions.IfNotModified
                )
        except NotFoundError:
            return True
        except ConflictError:  # somebody has written it since
            return False
        return True

    def url(self, container: str, name: str = "", *, permissions: str, life: timedelta) -> str:
        """A signed URL of a blob, or of the container when no name is given.

        Signed with the account's key where the settings hold it, else by user delegation.

        Args:
            permissions: letters of the service SAS: r read, l list, c create, w write.
            life: how long it may be used.
        """
        from azure.storage.blob import generate_blob_sas, generate_container_sas

        expiry = datetime.now(UTC) + life
        signer: dict[str, Any] = (
            {"account_key": self._key} if self._key else {"user_delegation_key": self._delegate(expiry)}
        )
        path = f"{self._endpoint}/{container}"
        if name:
            sas = generate_blob_sas(self.account, container, name, permission=permissions, expiry=expiry, **signer)
            return f"{path}/{quote(name)}?{sas}"
        sas = generate_container_sas(self.account, container, permission=permissions, expiry=expiry, **signer)
        return f"{path}?{sas}"

    def _delegate(self, until: datetime) -> Any:
        """A key that is good until then: a signature ends with the key that made it."""
        now = datetime.now(UTC)
        if self._delegation is None or self._delegation[0] < until:
            end = max(until, now + DELEGATION_KEY_LIFE)
            with _translated("", "user delegation key"):
                self._delegation = (end, self._service.get_user_delegation_key(now - timedelta(minutes=5), end))
        return self._delegation[1]


@contextmanager
def _translated(container: str, name: str, *, conditional: bool = False) -> Iterator[None]:
    """Turn the SDK's errors into ours; a condition that does not hold is a conflict where the caller gave it."""
    from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError

    what = f"{container}/{name}"
    try:
        yield
    except ResourceNotFoundError as error:
        raise NotFoundError("blob_not_found", f"blob {what} is not there") from error
    except HttpResponseError as error:
        if error.status_code in (401, 403):
            said = getattr(error, "error_code", None) or error.reason
            told = str(getattr(said, "value", said))
            code, _, hint = storage_refusal(told)
            raise TransientError(code, f"storage refused {what}: {told}", hint) from error
        if error.status_code == 416:  # the bytes that were asked for were there when its size was written down
            raise ConflictError("blob_changed", f"blob {what} is shorter than it was", "ask again") from error
        if conditional and error.status_code == 412:
            raise ConflictError("blob_changed", f"blob {what} was changed meanwhile", "try again") from error
        if conditional and getattr(error, "error_code", None) == "BlobAlreadyExists":
            raise ConflictError("blob_exists", f"blob {what} is there already") from error
        raise TransientError("storage_unavailable", f"storage did not serve {what}: {error.status_code}") from error
    except AzureError as error:
        raise TransientError("storage_unavailable", f"storage did not serve {what}") from error
