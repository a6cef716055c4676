"""A pod's volumes as folders of the machine. `podrunner.py` sets them up before containers start.

No volume leads out of the node's disk or the pod's own folder: neither by `..`, which the API refuses already
(`pathrules.py`), nor by a symbolic link that a pod left behind.
"""

from __future__ import annotations

import posixpath
import shutil
from pathlib import Path
from typing import Any

from local.cluster.environment import Lookup, data_of, field_value
from local.cluster.kinds import CONFIG_MAPS, SECRETS, Kind
from local.cluster.sandbox import Mount

Json = dict[str, Any]
DEFAULT_MODE = 0o644


class MountError(Exception):
    """A volume cannot be set up; the text is what the kubelet reports in a FailedMount event."""


class PodVolumes:
    """The volumes of one pod: hostPath in the node's folder, all others in the pod's own folder."""

    def __init__(self, pod: Json, node_folder: Path, pod_folder: Path, lookup: Lookup) -> None:
        self._pod = pod
        self._node_folder = node_folder
        self._pod_folder = pod_folder
        self._lookup = lookup
        self._sources: dict[str, Path] = {}
        self._read_only: set[str] = set()

    def set_up(self) -> None:
        """Make every volume ready; MountError when one cannot be yet."""
        for volume in self._pod["spec"].get("volumes") or []:
            self._sources[volume["name"]] = self._source(volume)

    def _source(self, volume: Json) -> Path:
        name: str = volume["name"]
        own = self._pod_folder / "volumes" / name
        if "hostPath" in volume:
            return self._host_path(name, volume["hostPath"])
        if "configMap" in volume:
            self._read_only.add(name)
            return self._files(CONFIG_MAPS, name, volume["configMap"], volume["configMap"].get("name", ""), own)
        if "secret" in volume:
            self._read_only.add(name)
            return self._files(SECRETS, name, volume["secret"], volume["secret"].get("secretName", ""), own)
        own.mkdir(parents=True, exist_ok=True)
        if "projected" in volume or "downwardAPI" in volume:
            self._read_only.add(name)
            parts = (volume.get("projected") or {}).get("sources") or [volume]
            for part in parts:
                self._project(name, part, own)
            return own
        if "emptyDir" in volume or len(volume) == 1:
            return own
        kind = next(key for key in volume if key != "name")
        raise MountError(f'MountVolume.SetUp failed for volume "{name}" : volumes of type {kind} are not emulated')

    def _host_path(self, name: str, host_path: Json) -> Path:
        source = _within(self._node_folder, host_path["path"], name)
        kind = host_path.get("type") or ""
        if kind in ("Directory", "File") and not source.exists():
            wanted = "a directory" if kind == "Directory" else "a file"
            raise MountError(
                f'MountVolume.SetUp failed for volume "{name}" : hostPath type check failed: '
                f"{host_path['path']} is not {wanted}"
            )
        if kind == "FileOrCreate":
            source.parent.mkdir(parents=True, exist_ok=True)
            source.touch()
        elif not source.exists():
            source.mkdir(parents=True, exist_ok=True)
        return source

    def _project(self, name: str, part: Json, folder: Path) -> None:
        if "configMap" in part:
            self._files(CONFIG_MAPS, name, part["configMap"], part["configMap"]["name"], folder)
        if "secret" in part:
            self._files(SECRETS, name, part["secret"], part["secret"]["name"], folder)
        for item in (part.get("downwardAPI") or {}).get("items") or []:
            content = field_value(self._pod, item["fieldRef"]["fieldPath"]).encode()
            _write(_within(folder, item["path"], name), content, DEFAULT_MODE)

    def _files(self, kind: Kind, name: str, volume: Json, source: str, folder: Path) -> Path:
        """Write the keys of a ConfigMap or a Secret as files."""
        folder.mkdir(parents=True, exist_ok=True)
        found = self._lookup(kind, source)
        if found is None:
            if volume.get("optional"):
                return folder
            raise MountError(f'MountVolume.SetUp failed for volume "{name}" : {kind.singular} "{source}" not found')
        data = data_of(kind, found)
        mode = volume.get("defaultMode") or DEFAULT_MODE
        items = volume.get("items") or [{"key": key, "path": key} for key in data]
        for item in items:
            if item["key"] not in data:
                raise MountError(
                    f'MountVolume.SetUp failed for volume "{name}" : references non-existent config key: {item["key"]}'
                )
            _write(_within(folder, item["path"], name), data[item["key"]], item.get("mode") or mode)
        return folder

    def mounts(self, container: Json) -> list[Mount]:
        """The mounts of one container; `set_up` has succeeded before."""
        result = []
        for mount in container.get("volumeMounts") or []:
            source = self._sources[mount["name"]]
            if mount.get("subPath"):
                source = _within(source, mount["subPath"], mount["name"])
                if not source.exists():
                    source.mkdir(parents=True, exist_ok=True)
            read_only = bool(mount.get("readOnly")) or mount["name"] in self._read_only
            result.append(Mount(source, posixpath.normpath("/" + mount["mountPath"].strip("/")), read_only))
        return result

    def tear_down(self) -> None:
        """Remove the pod's own volumes; the node's folders stay."""
        shutil.rmtree(self._pod_folder / "volumes", ignore_errors=True)


def _within(folder: Path, path: str, volume: str) -> Path:
    """A path below a folder, with all links followed; MountError when it leads elsewhere."""
    found = (folder / path.lstrip("/")).resolve()
    if not found.is_relative_to(folder.resolve()):
        raise MountError(f'MountVolume.SetUp failed for volume "{volume}" : {path} leads out of the volume')
    return found


def _write(path: Path, data: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)
