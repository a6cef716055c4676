"""Where the bearer token comes from. It goes into one header, to the API only, and is never printed."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable

from elb.errors import UsageError

COMMAND_SECONDS = 60.0
"""How long the token command may take; ``az`` may have to ask the network."""

TokenSource = Callable[[], str | None]
"""Gives a token, a new one at each call where it can; None means that requests go without one."""


def token_source(token: str | None, command: str | None) -> TokenSource:
    """The token of the environment, what a command prints, or none.

    Args:
        token: the value of ``ELB_TOKEN``.
        command: the command line of ``--token-command``; it wins, because it can give a new token.
    """
    if command:
        return lambda: _printed_by(command)
    fixed = _checked(token, "ELB_TOKEN") if token else None
    return lambda: fixed


def _printed_by(command: str) -> str:
    """The token that a command prints: as it is, or as ``accessToken`` or ``token`` of a JSON object.

    No shell is started: the command line is cut into words as a shell would.

    Raises:
        UsageError: ``token_command_failed``, without anything of what the command printed on its standard output.
    """
    try:
        if not (words := shlex.split(command)):
            raise _failed("it is empty")
        done = subprocess.run(words, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=True)
    except subprocess.TimeoutExpired:
        raise _failed(f"it took longer than {COMMAND_SECONDS:g} s") from None
    except subprocess.CalledProcessError as error:
        last = (str(error.stderr or "").strip().splitlines() or ["nothing on standard error"])[-1]
        raise _failed(f"exit code {error.returncode}: {last[:500]}") from None
    except (OSError, ValueError) as error:  # no such program, or a quotation mark that does not end
        raise _failed(str(error)) from None
    printed = done.stdout.strip()
    if printed.startswith("{"):
        try:
            found = json.loads(printed)
        except ValueError:
            raise _failed("what it printed looks like JSON and is not") from None
        printed = str(found.get("accessToken") or found.get("token") or "")
    return _checked(printed, "the token command's output")


def _checked(token: str, where: str) -> str:
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(
            "no_token", f"{where} is not one token", "give the token alone, or JSON with accessToken, and nothing else"
        )
    return token


def _failed(why: str) -> UsageError:
    hint = "run the command by hand; for Azure: az account get-access-token --resource <the API's id>"
    return UsageError("token_command_failed", f"the token command failed: {why}", hint)
