"""The `log` subresource of a pod: which file, which part of it, and following it. Used by `routes.py`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local.cluster.errors import ApiError, bad_request

Json = dict[str, Any]
_CHUNK = 64 * 1024
_FOLLOW_SECONDS = 0.05


def choose_container(pod: Json, asked: str | None) -> str:
    """The container whose log is meant; ApiError 400 when it is not clear or not there."""
    spec, name = pod["spec"], pod["metadata"]["name"]
    mains = [each["name"] for each in spec["containers"]]
    inits = [each["name"] for each in spec.get("initContainers") or []]
    if asked:
        if asked not in mains + inits:
            raise bad_request(f"container {asked} is not valid for pod {name}")
        return asked
    if len(mains) == 1:
        return str(mains[0])
    choices = f"[{' '.join(mains)}]" + (f" or one of the init containers: [{' '.join(inits)}]" if inits else "")
    raise bad_request(f"a container name must be specified for pod {name}, choose one of: {choices}")


def container_status(pod: Json, container: str) -> Json:
    """The container's entry in the pod's status; empty when there is none yet."""
    status = pod.get("status") or {}
    for group in ("initContainerStatuses", "containerStatuses"):
        for each in status.get(group) or []:
            if each["name"] == container:
                return dict(each)
    return {}


def log_file(pod: Json, container: str, previous: bool, folder: Path) -> Path:
    """The file of the container's present (or previous) start; ApiError 400 when it has not started."""
    status, name = container_status(pod, container), pod["metadata"]["name"]
    number = int(status.get("restartCount", 0))
    if previous:
        if not status.get("lastState"):
            raise bad_request(f'previous terminated container "{container}" in pod "{name}" not found')
        waits = "waiting" in status["state"]
        return folder / container / f"{number if waits else number - 1}.log"
    path = folder / container / f"{number}.log"
    if not path.exists() and number:
        path = folder / container / f"{number - 1}.log"
    if not path.exists():
        reason = ((status.get("state") or {}).get("waiting") or {}).get("reason", "ContainerCreating")
        if reason in ("ImagePullBackOff", "ErrImagePull"):
            reason = "trying and failing to pull image"
        if (status.get("state") or {}).get("terminated"):
            return path
        raise bad_request(f'container "{container}" in pod "{name}" is waiting to start: {reason}')
    return path


def parse_number(text: str | None, name: str) -> int | None:
    """A query parameter that is a count; ApiError 400/422 as the API server answers."""
    if text is None:
        return None
    try:
        number = int(text)
    except ValueError as error:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from error
    if number < 0 or (number == 0 and name == "limitBytes"):
        least = "must be greater than 0" if name == "limitBytes" else "must be greater than or equal to 0"
        raise ApiError(422, "Invalid", f'PodLogOptions "" is invalid: {name}: Invalid value: {number}: {least}')
    return number


def read_tail(path: Path, tail_lines: int | None) -> tuple[bytes, int]:
    """The last lines of a file (None: all) and the position after them; reads from the end, whatever the size."""
    if not path.exists():
        return b"", 0
    with path.open("rb") as file:
        end = file.seek(0, 2)
        if tail_lines is None:
            file.seek(0)
            return file.read(end), end
        data, position = b"", end
        while position > 0 and data.count(b"\n") <= tail_lines:
            step = min(_CHUNK, position)
            position -= step
            file.seek(position)
            data = file.read(step) + data
    lines = _lines(data)
    return b"".join(lines[-tail_lines:] if tail_lines else []), end


def _lines(data: bytes) -> list[bytes]:
    """Lines with their ends. Only a line feed ends one: progress bars write carriage returns."""
    *lines, last = data.split(b"\n")
    return [line + b"\n" for line in lines] + ([last] if last else [])


def with_timestamps(data: bytes, path: Path) -> bytes:
    """Prefix each line with a time. The files hold none: it is that of the file's last change."""
    changed = datetime.fromtimestamp(path.stat().st_mtime if path.exists() else 0, UTC)
    stamp = changed.strftime("%Y-%m-%dT%H:%M:%S.%fZ ").encode()
    return b"".join(stamp + line for line in _lines(data))


def _appended(path: Path, position: int) -> tuple[bytes, int]:
    """What a file holds after `position`, and the position after that; a file that was clipped is read anew."""
    if not path.exists():
        return b"", position
    with path.open("rb") as file:
        if file.seek(0, 2) < position:
            position = 0
        file.seek(position)
        data = file.read(_CHUNK)
    return data, position + len(data)


async def follow(path: Path, position: int, ended: Callable[[], bool]) -> AsyncIterator[bytes]:
    """What is appended to the file after `position`, until `ended()` says that the container has ended."""
    while True:
        done = ended()
        data, position = _appended(path, position)
        if data:
            yield data
        elif done:
            return
        else:
            await asyncio.sleep(_FOLLOW_SECONDS)


def clip(folder: Path, keep_bytes: int) -> None:
    """Cut every log of a pod to its last bytes, as log rotation on a full node does."""
    for path in folder.glob("*/*.log"):
        data = path.read_bytes()
        with path.open("r+b") as file:
            file.truncate(0)
            file.write(data[-keep_bytes:] if keep_bytes else b"")
