"""Command line of the local Functions host: `python -m local.host --app DIR --port N --state FILE`.

The environment is the app settings. The one line on stdout is `ready <base URL>`; all logging goes to stderr. SIGTERM
and SIGINT end it with exit code 0; 3: the app cannot be loaded, 4: the port is taken, 5: the state file is in use or is
not one. It may be killed at any time: started again on the same state file it continues every orchestration.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Final

from local.host.host import FunctionsHost, HostOptions, StateInUseError, bind, lock_state
from local.host.logs import set_up_logging
from local.host.settings import HostConfigurationError, load_host_settings
from local.host.store import StateFormatError

_EXIT_APP: Final = 3
_EXIT_PORT: Final = 4
_EXIT_STATE: Final = 5


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.host", description="Run a function app on this machine.")
    parser.add_argument("--app", type=Path, required=True, help="the folder with function_app.py and host.json")
    parser.add_argument("--port", type=int, default=7071, help="0 takes a free one (default: 7071)")
    parser.add_argument("--state", type=Path, required=True, help="the SQLite file with the durable state")
    parser.add_argument("--address", default="127.0.0.1", help="default: 127.0.0.1")
    return parser.parse_args()


def _keep_stdout() -> int:
    """Send all output of app and libraries to stderr; returns a descriptor of the real stdout."""
    real = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return real


async def _serve(host: FunctionsHost, stdout: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with host.running() as base_url:
        os.write(stdout, f"ready {base_url}\n".encode())
        await stop.wait()


def _run(arguments: argparse.Namespace, stdout: int) -> int:
    try:
        app_dir, state = arguments.app.resolve(strict=True), arguments.state.resolve()
        settings = load_host_settings(app_dir)
        set_up_logging(settings.log_level)
        listener = bind(arguments.address, arguments.port)
    except (FileNotFoundError, HostConfigurationError) as error:
        return _give_up(_EXIT_APP, f"the app in {arguments.app} cannot be run: {error}")
    except OSError as error:
        return _give_up(_EXIT_PORT, f"cannot listen on {arguments.address}:{arguments.port}: {error.strerror}")
    try:
        lock_state(state)
        # Not asyncio.run: at its end that waits for every thread that the app has started.
        host = FunctionsHost(HostOptions(app_dir, state, listener), settings)
        asyncio.new_event_loop().run_until_complete(_serve(host, stdout))
    except HostConfigurationError as error:
        return _give_up(_EXIT_APP, f"the app in {app_dir} cannot be run: {error}")
    except (StateInUseError, StateFormatError) as error:
        return _give_up(_EXIT_STATE, str(error))
    return 0


def _give_up(code: int, reason: str) -> int:
    sys.stderr.write(f"{reason}\n")
    return code


def main() -> None:
    """Run the host and end the process without waiting for functions that are still running in threads."""
    code = _run(_arguments(), _keep_stdout())
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)  # a thread of the app cannot be stopped; what it was doing is done again after the next start


if __name__ == "__main__":
    main()
