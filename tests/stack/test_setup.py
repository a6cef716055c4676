"""The set-up with fakes for everything that it would download: what it does again, and what it does not."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.stack.programs import wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
INPUTS = ("requirements.txt", "requirements-dev.txt", "constraints.txt", "package.json", "package-lock.json")
AZCOPY = "node_modules/@azure-tools/azcopy-linux/dist/bin/azcopy_linux_amd64"

# Makes a .venv whose python is this same file, and notes each installation. A file "offline" makes an installation
# fail, a file "stuck" makes it wait half-way; "half" in the .venv is what such a one leaves there.
PYTHON = """#!/bin/sh
case "$*" in
    *realpath*) echo "$0" ;;
    *"import sys, pip"*) [ -f .venv/pip ] && echo 3.13 ;;
    *version_info*) echo 3.13 ;;
    *"-m venv"*)
        case "$*" in *--clear*) rm -rf .venv ;; esac
        echo venv >>made; mkdir -p .venv/bin && cp "$0" .venv/bin/python && : >.venv/pip ;;
    *"-m pip"*)
        [ -f .venv/pip ] || { echo "No module named pip"; exit 1; }
        [ ! -f offline ] || { echo "no network"; exit 1; }
        if [ -f stuck ]; then : >.venv/half; exec sleep 60; fi
        sleep 0.2; echo pip >>done ;;
esac
"""
NPM = """#!/bin/sh
case "$*" in
    ci*web*) mkdir -p web/node_modules; : >web/node_modules/.package-lock.json ;;
    run*) mkdir -p web/dist; : >web/dist/index.html; echo page >>done ;;
    ls*) [ -f AZCOPY ] ;;
    ci*)
        rm -rf node_modules; mkdir -p "$(dirname AZCOPY)"; : >AZCOPY
        if [ -f stuck ]; then : >node_modules/half; exec sleep 60; fi
        echo npm >>done; : >node_modules/.package-lock.json ;;
esac
""".replace("AZCOPY", AZCOPY)
NODE = "#!/bin/sh\necho v20.19.0\n"
OLD_NODE = "#!/bin/sh\necho v20.18.3\n"
# What a bare Debian has, and the script calls.
DEBIAN = (
    "sh",
    "cat",
    "chmod",
    "cp",
    "cut",
    "date",
    "dirname",
    "env",
    "flock",
    "mkdir",
    "mv",
    "rm",
    "sha256sum",
    "sleep",
    "tail",
)
PACKAGED = ("blastn", "blastdbcheck", "vmtouch", "bwrap", "curl", "kubectl")


class Checkout:
    """A repository with nothing installed, on a machine with nothing but what a test puts there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.bin = root / "machine/bin"
        self.bin.mkdir(parents=True)
        shutil.copytree(REPOSITORY / "local/setup", root / "local/setup")
        shutil.copytree(REPOSITORY / "web", root / "web", ignore=shutil.ignore_patterns("node_modules", "dist"))
        for name in INPUTS:
            shutil.copy(REPOSITORY / name, root / name)
        for name in DEBIAN:
            (self.bin / name).symlink_to(shutil.which(name) or name)
        for name, text in {"python3.13": PYTHON, "npm": NPM, "node": NODE, "id": "#!/bin/sh\necho 1000\n"}.items():
            self.put(name, text)
        for name in PACKAGED:
            self.put(name, "#!/bin/sh\n")

    def put(self, name: str, text: str) -> None:
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def begin(self) -> subprocess.Popen[str]:
        environment = {"PATH": str(self.bin), "HOME": str(self.root)}
        return subprocess.Popen(
            ["sh", str(self.root / "local/setup/setup.sh")],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd="/",
            start_new_session=True,
        )

    def interrupt_at(self, sign: Path) -> None:
        """Set up until a file is there, then end all of it as Ctrl-C, and worse, would."""
        (self.root / "stuck").touch()
        with self.begin() as process:
            wait_until(sign.exists, f"{sign} is there")
            os.killpg(process.pid, signal.SIGKILL)
        (self.root / "stuck").unlink()

    def set_up(self) -> tuple[int, str]:
        with self.begin() as process:
            output = process.communicate()[0]
        return process.returncode, output

    @property
    def installed(self) -> list[str]:
        done = self.root / "done"
        return done.read_text().split() if done.exists() else []


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    if not Path("/usr/share/resfinder/db/all.name").exists():
        pytest.skip("resfinder-db is not installed, and the set-up looks for its files")
    return Checkout(tmp_path)


def test_a_bare_checkout_is_set_up_once(checkout: Checkout) -> None:
    code, output = checkout.set_up()
    assert code == 0, output
    assert checkout.installed == ["pip", "npm", "page"]
    assert os.access(checkout.root / AZCOPY, os.X_OK), "npm loses AzCopy's execute bit"
    lines = output.splitlines()
    assert all(line.startswith("setup: ") and line.endswith(" s)") for line in lines), output

    assert checkout.set_up() == (0, "")
    assert checkout.installed == ["pip", "npm", "page"]


def test_an_interrupted_set_up_is_done_again(checkout: Checkout) -> None:
    (checkout.root / "offline").touch()
    code, output = checkout.set_up()
    assert code != 0
    assert "no network" in output
    assert "Python packages into .venv failed" in output
    (checkout.root / "offline").unlink()
    assert checkout.set_up()[0] == 0
    assert checkout.installed == ["pip", "npm", "page"]


def test_a_killed_installation_begins_with_a_new_environment(checkout: Checkout) -> None:
    half = checkout.root / ".venv/half"
    checkout.interrupt_at(half)
    assert checkout.set_up()[0] == 0
    assert not half.exists(), "pip takes what it had half-copied for installed"
    assert checkout.installed == ["pip", "npm", "page"]

    (checkout.root / "requirements.txt").write_text("another\n")
    checkout.interrupt_at(half)
    shutil.copy(REPOSITORY / "requirements.txt", checkout.root)
    assert checkout.set_up()[0] == 0
    assert not half.exists(), "also when the requirements are again those of the stamp"


def test_an_environment_without_pip_is_made_anew(checkout: Checkout) -> None:
    (checkout.root / ".venv/bin").mkdir(parents=True)
    shutil.copy(checkout.bin / "python3.13", checkout.root / ".venv/bin/python")
    assert checkout.set_up()[0] == 0
    assert checkout.installed == ["pip", "npm", "page"]


def test_a_good_environment_is_kept(checkout: Checkout) -> None:
    checkout.set_up()
    (checkout.root / "requirements.txt").write_text("another\n")
    assert checkout.set_up()[0] == 0
    assert (checkout.root / "made").read_text().split() == ["venv"]


def test_a_killed_npm_is_repeated(checkout: Checkout) -> None:
    checkout.set_up()
    half = checkout.root / "node_modules/half"
    (checkout.root / "package-lock.json").write_text("{}")
    checkout.interrupt_at(half)
    # Somebody's other npm may write this; the packages are not whole all the same.
    (checkout.root / "node_modules/.package-lock.json").touch()
    shutil.copy(REPOSITORY / "package-lock.json", checkout.root)
    assert checkout.set_up()[0] == 0
    assert not half.exists()
    assert checkout.installed == ["pip", "npm", "page", "npm"]


@pytest.mark.parametrize(
    ("changed", "again"),
    [
        ("requirements-dev.txt", ["pip"]),
        ("constraints.txt", ["pip"]),
        ("package-lock.json", ["npm"]),
        ("web/src/app.tsx", ["page"]),
    ],
    ids=["requirements", "constraints", "lock file", "page"],
)
def test_another_requirement_is_brought_in(checkout: Checkout, changed: str, again: list[str]) -> None:
    checkout.set_up()
    with (checkout.root / changed).open("a") as file:
        file.write("\n")
    assert checkout.set_up()[0] == 0
    assert checkout.installed == ["pip", "npm", "page", *again]


def test_what_was_deleted_comes_back(checkout: Checkout) -> None:
    checkout.set_up()
    shutil.rmtree(checkout.root / "node_modules")
    shutil.rmtree(checkout.root / ".venv")
    shutil.rmtree(checkout.root / "web/dist")
    assert checkout.set_up()[0] == 0
    assert sorted(checkout.installed) == ["npm", "npm", "page", "page", "pip", "pip"]


def test_packages_that_somebody_installed_are_accepted(checkout: Checkout) -> None:
    azcopy = checkout.root / AZCOPY
    azcopy.parent.mkdir(parents=True)
    azcopy.touch()
    (checkout.root / "node_modules/.package-lock.json").touch()
    assert checkout.set_up()[0] == 0
    assert checkout.installed == ["pip", "page"]
    assert os.access(azcopy, os.X_OK)


@pytest.mark.parametrize(
    ("target", "code", "said"), [("down", 0, "There was no stack to stop."), ("status", 2, "The stack is not up.")]
)
def test_asking_and_ending_install_nothing(checkout: Checkout, target: str, code: int, said: str) -> None:
    shutil.copy(REPOSITORY / "Makefile", checkout.root)
    before = sorted(checkout.root.rglob("*"))
    done = subprocess.run(["make", "-C", str(checkout.root), target], capture_output=True, text=True)
    assert (done.returncode, checkout.installed) == (code, []), done.stderr
    assert said in done.stdout
    assert sorted(checkout.root.rglob("*")) == before


def test_two_at_once_install_once(checkout: Checkout) -> None:
    with checkout.begin() as one, checkout.begin() as other:
        outputs = [process.communicate()[0] for process in (one, other)]
    assert (one.returncode, other.returncode) == (0, 0), outputs
    assert checkout.installed == ["pip", "npm", "page"]


def test_without_root_it_prints_the_line_to_run(checkout: Checkout) -> None:
    (checkout.bin / "vmtouch").unlink()
    (checkout.bin / "blastn").unlink()
    (checkout.bin / "blastdbcheck").unlink()
    code, output = checkout.set_up()
    assert code == 1
    assert output.strip().endswith("sudo apt-get install -y --no-install-recommends ncbi-blast+ vmtouch")


def test_as_root_it_installs_what_is_missing_and_only_that(checkout: Checkout) -> None:
    (checkout.bin / "vmtouch").unlink()
    checkout.put("id", "#!/bin/sh\necho 0\n")
    install = f'*install*) echo "$*" >>done; cp "{checkout.bin}/curl" "{checkout.bin}/vmtouch" ;;'
    checkout.put("apt-get", f'#!/bin/sh\ncase "$*" in {install} esac\n')
    assert checkout.set_up()[0] == 0
    assert " ".join(checkout.installed).startswith("install -y -qq --no-install-recommends vmtouch pip npm")


def test_an_old_node_is_named(checkout: Checkout) -> None:
    checkout.put("node", OLD_NODE)
    code, output = checkout.set_up()
    assert code == 1
    assert "Node >= 20.19" in output
    assert "v20.18.3" in output
