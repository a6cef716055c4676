"""What is shipped to the pods."""

from __future__ import annotations

import subprocess

from shared.scripts import PROBE, load_probe, load_scripts


def test_every_script_is_shipped_and_is_bash() -> None:
    scripts = load_scripts()
    assert set(scripts) >= {"blast.sh", "warm.sh", "clean.sh"}
    assert PROBE not in scripts, "it comes with its pods' command line"
    for name, text in {**scripts, PROBE: load_probe()}.items():
        assert text.startswith("#!/bin/bash\n"), name
        assert subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True).returncode == 0, name
