"""What the tests of the pods' scripts share: where the scripts are, stand-ins on ``PATH``, and a secret to look for."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[3] / "shared" / "scripts"
SIGNATURE = "sig=hush%2Fhush"
"""Of a signed URL: never to be printed."""


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skip where a real program is not installed."""
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def executable(path: Path, text: str) -> None:
    """Write a program."""
    path.write_text(text)
    path.chmod(0o755)


def job_functions() -> str:
    """The functions of ``blast.sh`` that run a Job's command, without what downloads and uploads."""
    text = (SCRIPTS / "blast.sh").read_text()
    found = re.findall(r"^(?:search|add_evalues)\(\) \{$.*?^\}$", text, re.MULTILINE | re.DOTALL)
    return "\n".join(('say() { printf "%s\\n" "$*"; }', *found))
