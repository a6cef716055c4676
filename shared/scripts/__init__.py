"""The shell scripts that run in the pods, as package data: ``blast.sh``, ``warm.sh``, ``clean.sh`` and ``probe.sh``."""

from __future__ import annotations

from importlib.resources import files

PROBE = "probe.sh"
"""Is part of its pods' command line and not of the ConfigMap (``shared.domain.probe_manifest``)."""


def load_scripts() -> dict[str, str]:
    """File name -> text of every script of the ConfigMap."""
    scripts = (f for f in files(__name__).iterdir() if f.name.endswith(".sh") and f.name != PROBE)
    return {f.name: f.read_text("utf-8") for f in scripts}


def load_probe() -> str:
    """The text of ``probe.sh``."""
    return files(__name__).joinpath(PROBE).read_text("utf-8")
