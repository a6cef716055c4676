"""``python -m local.stack up|down|status|run|env|doctor``; ``STACK_HOME`` names another folder than ``.local``."""

from __future__ import annotations

import argparse
import sys

from local.stack import commands, doctor
from local.stack.home import Home

_HELP = {
    "up": "start a stack that stays",
    "down": "end it and all that it started",
    "status": "say whether one is up and where everything is",
    "run": "supervise one in the foreground until Ctrl-C",
    "env": "print its addresses as lines for a shell",
    "doctor": "say what is missing on this machine and how to get it",
}


def main() -> int:
    """Parse the command line and run one command."""
    parser = argparse.ArgumentParser(prog="python -m local.stack", description="The one-machine stack.")
    subcommands = parser.add_subparsers(dest="command", required=True)
    for name, text in _HELP.items():
        sub = subcommands.add_parser(name, help=text, description=text)
        if name in ("up", "run"):
            sub.add_argument("--fresh", action="store_true", help="begin with empty storage, disks and histories")
            sub.add_argument("--free-ports", action="store_true", help="leave 7071 and 10000-10002 to others")
    arguments = parser.parse_args()
    home = Home.default()
    match arguments.command:
        case "up":
            return commands.up(home, fresh=arguments.fresh, usual_ports=not arguments.free_ports)
        case "run":
            return commands.run(home, fresh=arguments.fresh, usual_ports=not arguments.free_ports)
        case "down":
            return commands.down(home)
        case "status":
            return commands.status(home)
        case "env":
            return commands.env(home)
        case _:
            return doctor.main(home)


if __name__ == "__main__":
    sys.exit(main())
