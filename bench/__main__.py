"""``python -m bench [--quick] [--json FOLDER] [NAME ...]``: run all benchmarks, or those that are named.

Prints each one's tables, and writes ``<name>.json`` into FOLDER: by default ``bench`` in the folder of the stack
(``STACK_HOME``, or ``.local``). Limits that are not kept are shown and change nothing; a wrong answer of the product
ends the run.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from bench.common import Options, Report, Section
from bench.stand import Stands
from local.stack.home import Home

NAMES = ("cold", "warm", "submit", "overhead", "flip", "calls", "idle", "lists", "fasta")
"""In the order of running: ``cold`` needs a stack on which nothing is warm, also when all share one."""


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the product on the one-machine stack")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all when none is given")
    parser.add_argument("--quick", action="store_true", help="small numbers, on one stack: to see that they run")
    folder = Home.default().root / "bench"
    parser.add_argument("--json", type=Path, default=folder, metavar="FOLDER", help="where the JSON goes")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(NAMES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    wanted = [name for name in NAMES if not arguments.names or name in arguments.names]
    with tempfile.TemporaryDirectory() as made, Stands(Options(arguments.quick, Path(made))) as stands:
        for name in wanted:
            measure: Callable[[Stands], list[Section]] = import_module(f"bench.{name}").run
            report = Report(name, arguments.quick)
            report.end(measure(stands))
            print(report.text(), flush=True)
            report.save(arguments.json / f"{name}.json")
            print(f"written: {arguments.json / name}.json\n", flush=True)


if __name__ == "__main__":
    main()
