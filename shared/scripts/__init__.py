"""The shell scripts that run in the pods, as package data: ``blast.sh`` and ``warm.sh``."""

from __future__ import annotations

from importlib.resources import files


def load_scripts() -> dict[str, str]:
    """File name -> text of every script, for the ConfigMap."""
    return {f.name: f.read_text("utf-8") for f in files(__name__).iterdir() if f.name.endswith(".sh")}
