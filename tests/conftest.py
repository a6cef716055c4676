"""What tests of several folders need: the sample database, built once a process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def sample_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample database, built with makeblastdb."""
    folder = tmp_path_factory.mktemp("sample")
    subprocess.run([sys.executable, "-m", "local.sample.build", "--out", str(folder)], check=True, capture_output=True)
    return folder
