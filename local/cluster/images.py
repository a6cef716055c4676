"""The images that the nodes "have". An image is only a name here: a pod's programs are those of the machine.

The kubelet asks before each container start; the control endpoint adds images, denies them, or makes their pull slow.
"""

from __future__ import annotations

import asyncio

KNOWN_IMAGES = (
    "ncbi/elb:1.4.0",
    "ncbi/elasticblast-job-submit:4.1.0",
    "ncbi/elasticblast-query-split:0.1.4",
    "elb-openapi:4.14",
    "busybox",
)
ENTRYPOINTS: dict[str, list[str]] = {"busybox": ["sh"], "elb-openapi:4.14": ["sleep", "infinity"]}


class ImageMissingError(Exception):
    """No registry has this image, or the pull of it is denied; the text is what the kubelet reports."""


class Images:
    """Which images can be pulled, and how long a pull takes."""

    def __init__(self) -> None:
        self._known = set(KNOWN_IMAGES)
        self._denied: set[str] = set()
        self._slow: dict[str, float] = {}
        self._changed = asyncio.Event()

    def add(self, image: str) -> None:
        """Let the nodes have `image` (with a tag, or without for any tag)."""
        self._denied.discard(image)
        self._known.add(image)
        self._signal()

    def deny(self, image: str) -> None:
        """Let every later pull of `image` fail as a registry without the role AcrPull does."""
        self._denied.add(image)
        self._signal()

    def slow(self, image: str, seconds: float) -> None:
        """Let every later pull of `image` take `seconds`."""
        self._slow[image] = seconds

    def _signal(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self, timeout_seconds: float) -> None:
        """Wait until the set of images changes, at most `timeout_seconds`."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._changed.wait()
        except TimeoutError:
            return

    async def pull(self, image: str) -> None:
        """Return when the image is on the node; ImageMissingError when it never will be."""
        if self._matches(image, self._denied):
            raise ImageMissingError(
                f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": failed to '
                "authorize: failed to fetch anonymous token: unexpected status: 401 Unauthorized"
            )
        if not self._matches(image, self._known):
            raise ImageMissingError(
                f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": {image}: not found'
            )
        seconds = max((s for name, s in self._slow.items() if self._matches(image, {name})), default=0.0)
        if seconds:
            await asyncio.sleep(seconds)

    @staticmethod
    def _matches(image: str, names: set[str]) -> bool:
        """A name matches with any registry before it, and without a tag any tag."""
        untagged = image.split("@")[0]
        untagged = untagged.rsplit(":", 1)[0] if ":" in untagged.rsplit("/", 1)[-1] else untagged
        return any(
            candidate == name or candidate.endswith(f"/{name}") for name in names for candidate in (image, untagged)
        )


def entrypoint(image: str) -> list[str]:
    """The command of a container that names none."""
    for name, command in ENTRYPOINTS.items():
        if Images._matches(image, {name}):
            return command
    return []
