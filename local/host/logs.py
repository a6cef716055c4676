"""One line per event on stderr, with UTC time and the function that was running. Set up once by __main__.py."""

import logging
import sys
import time
from typing import override

from azure_functions_runtime.utils.executor import invocation_id_cv

# Chatter of the machinery: an orchestration hop, a request to storage, a connection.
_QUIET = ("durabletask", "azure", "aiohttp", "asyncio", "urllib3", "grpc", "kubernetes", "msal")


class _OneLine(logging.Formatter):
    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    @override
    def format(self, record: logging.LogRecord) -> str:
        return super().format(record).replace("\r", "").replace("\n", "\\n")


class _RunningFunctions(logging.Filter):
    """Adds the name of the function whose invocation wrote the record."""

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[str, str] = {}

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        invocation = invocation_id_cv.get()
        record.function = f"[{self.names[invocation]}] " if invocation in self.names else ""
        return True


# Invocation id -> function name, kept by the invoker for as long as an invocation runs.
running_functions = _RunningFunctions()


def set_up_logging(level: int = logging.INFO) -> None:
    """Send all logging of host and app to stderr.

    Args:
        level: the lowest level that is written; the libraries below it are kept to warnings.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine("%(asctime)s %(levelname)-7s %(name)s: %(function)s%(message)s"))
    handler.addFilter(running_functions)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
