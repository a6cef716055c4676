"""Where a stack keeps its files. Used by everything in this package, so that no other module spells a path."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of one stack; two stacks in two folders do not know of each other.

    Args:
        root: the folder, made when it is first needed.
    """

    root: Path

    @classmethod
    def default(cls) -> Home:
        """``STACK_HOME`` when it is set, ``.local`` in the repository otherwise."""
        return cls((REPOSITORY / os.environ.get("STACK_HOME", ".local")).resolve())

    def make(self) -> None:
        """Make the folders; they are the owner's alone, because keys lie in one and what people search for in all."""
        for folder in (self.logs, self.state):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)

    @property
    def lock(self) -> Path:
        """Held, by ``flock``, by whoever supervises the stack; says who in its text."""
        return self.root / "stack.lock"

    @property
    def stack_json(self) -> Path:
        """Where everything of the running stack is; goes with it."""
        return self.root / "stack.json"

    @property
    def stack_env(self) -> Path:
        """The same as lines for a shell."""
        return self.root / "stack.env"

    @property
    def kubeconfig(self) -> Path:
        """For ``kubectl`` and the official clients."""
        return self.root / "kubeconfig"

    @property
    def logs(self) -> Path:
        """One file per component."""
        return self.root / "logs"

    @property
    def state(self) -> Path:
        """What survives ``down`` and ``up``: blobs, rows, node disks, orchestrations, keys."""
        return self.root / "state"

    @property
    def identity(self) -> Path:
        """The stack's keys and tokens."""
        return self.state / "identity.json"

    @property
    def nodes(self) -> Path:
        """The node list that the emulators read."""
        return self.state / "nodes.json"

    @property
    def tools(self) -> Path:
        """Programs that pods find beside Debian's."""
        return self.state / "tools"

    def log(self, name: str) -> Path:
        """The log of one component."""
        return self.logs / f"{name}.log"
