"""The app, indexed and invoked through Microsoft's Python worker library (`azure-functions-runtime`).

The library expects protobuf messages from a host process. Its messages are only constructed and read by attribute, so
plain objects serve, and `native_invocation` takes and returns its own `Datum` type without any protobuf.
"""

# mypy: allow-untyped-calls

import json
import logging
import os
import re
import sys
import uuid
from contextvars import ContextVar
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, override

import azure_functions_runtime as runtime
from azure_functions_runtime.bindings.datumdef import Datum
from azure_functions_runtime.native_invocation import invocation_request_native

from local.host.functions import Function, parse_function
from local.host.logs import running_functions
from local.host.settings import HostConfigurationError, is_disabled

THREADS_SETTING: Final = "PYTHON_THREADPOOL_THREAD_COUNT"
_DEFAULT_THREADS: Final = "32"
_SUCCESS: Final = 1

_log = logging.getLogger(__name__)


class _Message(SimpleNamespace):
    """Stands for every protobuf message that the worker library makes or reads."""

    Success, Failure = _SUCCESS, 0  # StatusResult
    out, inout, undefined = 1, 2, 0  # BindingInfo.Direction and DataType


class _Messages:
    def __getattr__(self, name: str) -> type[_Message]:
        return _Message


class FunctionFailedError(Exception):
    """A function raised. `error_type` is the exception's class name, the text its whole message."""

    def __init__(self, error_type: str, message: str, stack_trace: str) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.stack_trace = stack_trace


_raised: ContextVar[list[BaseException] | None] = ContextVar("raised", default=None)


class _CatchRaised(logging.Filter):
    """Takes the exception itself from the library's log record: its answer has only the `repr`, which loses text."""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        caught = _raised.get()
        own = record.funcName == invocation_request_native.__name__
        if caught is None or not own or not record.exc_info or record.exc_info[1] is None:
            return True
        caught.append(record.exc_info[1])
        return False  # the host writes one line of its own


class Worker:
    """One app in this process; a process can hold one only.

    Args:
        app_dir: the folder with `function_app.py`.
    """

    def __init__(self, app_dir: Path) -> None:
        self._app_dir = app_dir
        self._client_configuration = ""

    async def load(self) -> list[Function]:
        """Index the app and return its functions, the disabled ones left out.

        Raises:
            HostConfigurationError: when the app cannot be imported or has no function.
        """
        os.environ.setdefault(THREADS_SETTING, _DEFAULT_THREADS)
        sys.path.insert(0, str(self._app_dir))
        os.chdir(self._app_dir)  # as on Azure, where an app finds its files from the present folder
        logging.getLogger("azure.functions").addFilter(_CatchRaised())
        runtime.start_threadpool_executor()
        init = _Message(capabilities={}, function_app_directory=str(self._app_dir))
        request = _Message(
            request=_Message(worker_init_request=init), properties={"protos": _Messages(), "host": "127.0.0.1"}
        )
        reply = await runtime.worker_init_request(request)
        if reply.result.status != _SUCCESS:
            raise HostConfigurationError(_reason(reply.result.exception, self._app_dir))
        metadata = await runtime.functions_metadata_request(None)
        found = [
            parse_function(f.name, f.function_id, f.raw_bindings) for f in metadata.function_metadata_results or []
        ]
        if not found:
            raise HostConfigurationError(f"{self._app_dir} has no function_app.py with functions")
        return [function for function in found if not is_disabled(function.name)]

    @property
    def threads(self) -> int:
        """How many synchronous functions and orchestrators can run at once.

        Raises:
            HostConfigurationError: when the app setting is not a number above 0.
        """
        text = os.environ.get(THREADS_SETTING, _DEFAULT_THREADS)
        if not text.isdecimal() or int(text) < 1:
            raise HostConfigurationError(f"the app setting {THREADS_SETTING} is {text!r}, it must be a number above 0")
        return int(text)

    def set_durable_client(self, rpc_address: str, base_url: str) -> None:
        """Say where durable clients find the engine.

        Args:
            rpc_address: `host:port` of the engine.
            base_url: the host's own URL, the base of management links.
        """
        webhooks = f"{base_url}/runtime/webhooks/durabletask"
        self._client_configuration = json.dumps({
            "taskHubName": "local",
            "connectionName": "",
            "creationUrls": {},
            "managementUrls": {},
            "baseUrl": webhooks,
            "httpBaseUrl": webhooks,
            "requiredQueryStringParameters": "",
            "rpcBaseUrl": f"http://{rpc_address}",
            "maxGrpcMessageSizeInBytes": 2**31 - 1,
        })  # fmt: skip

    async def invoke(self, function: Function, data: Datum) -> Datum | None:
        """Run a function once and return what it returned, as the worker library encodes it.

        Raises:
            FunctionFailedError: when the function raised.
        """
        inputs = [(function.parameter, data)]
        inputs += [(client, Datum(self._client_configuration, "string")) for client in function.clients]
        invocation_id = str(uuid.uuid4())
        caught: list[BaseException] = []
        token = _raised.set(caught)
        running_functions.names[invocation_id] = function.name
        try:
            succeeded, returned, _, error, trace = await invocation_request_native(
                invocation_id, function.function_id, inputs, {}
            )
        finally:
            del running_functions.names[invocation_id]
            _raised.reset(token)
        if succeeded:
            result: Datum | None = returned
            return result
        if not caught:
            raise FunctionFailedError("Exception", str(error), str(trace))
        raised = caught[-1]
        raise FunctionFailedError(type(raised).__name__, str(raised) or repr(raised), str(trace)) from raised


def _reason(exception: Any, app_dir: Path) -> str:
    """The message of an exception at import, with the last place in the app that it came through."""
    places: list[tuple[str, str]] = re.findall(r'File "([^"]+)", line (\d+)', exception.stack_trace)
    own = [f"{file}:{line}" for file, line in places if Path(file).is_relative_to(app_dir) and ".venv" not in file]
    return f"{exception.message} ({own[-1]})" if own else str(exception.message)
