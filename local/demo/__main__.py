"""``python -m local.demo``: runs the demo.

Exit code 0 only when the search completed and its results equal plain BLAST's; 1 when anything failed; 128 and the
number of the signal that ended it.
"""

from __future__ import annotations

import argparse
import sys

from local.stack.ending import EndRequested, ending_on_signals


def main() -> int:
    """Run it; Ctrl-C is an end like others from the first moment on."""
    try:
        with ending_on_signals():
            parser = argparse.ArgumentParser(prog="python -m local.demo", description="A whole search, shown.")
            parser.add_argument("--free-ports", action="store_true", help="leave 7071 and 10000-10002 to others")
            usual_ports = not parser.parse_args().free_ports
            # Not before: what this imports takes longer than a finger needs for Ctrl-C.
            from local.demo import demo

            return demo.main(usual_ports=usual_ports)
    except EndRequested as end:
        print(f"\nStopped ({end}). What the demo had started has ended.", flush=True)
        return 128 + end.number


if __name__ == "__main__":
    sys.exit(main())
