"""``python -m elb``: reads the command line, runs one command, turns whatever comes out into an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import TextIO

from elb.addresses import DEFAULT_API
from elb.api import Api
from elb.arguments import parser
from elb.clock import Clock
from elb.errors import ClientError, DownloadError, Exit
from elb.output import Output
from elb.session import Session
from elb.tokens import token_source


def main(arguments: Sequence[str] | None = None, clock: Clock | None = None) -> int:
    """Run one command.

    Args:
        arguments: of the command line; the process's own for None.
        clock: the time.

    Returns:
        The exit code, one of :class:`Exit`.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    sys.stdout, sys.stderr = sys.stdout or _nowhere(), sys.stderr or _nowhere()  # None where the caller closed it
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that has no check marks gets question marks
    out = Output(as_json="--json" in given)
    try:
        return int(_run(given, clock or Clock(), out))
    except ClientError as error:
        out.error(error)
        return int(error.exit_code)
    except BrokenPipeError:  # whoever read it has read enough, such as head
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter would complain at its end
        return int(Exit.BROKEN_PIPE)
    except OSError as error:  # of a file: what comes from the network is a ClientError
        out.error(DownloadError("file_error", f"{error.filename or 'a file'}: {error.strerror or error}"))
        return int(Exit.DOWNLOAD)
    except Exception:  # noqa: BLE001  # an exit code of 1 would say that the search has failed
        out.complain(traceback.format_exc())
        return int(Exit.DEFECT)
    except KeyboardInterrupt:
        out.error(ClientError("interrupted", "interrupted", exit_code=Exit.INTERRUPTED))
        return int(Exit.INTERRUPTED)


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123  # for the life of the process


def _run(given: list[str], clock: Clock, out: Output) -> Exit:
    args = parser().parse_args(given)
    address = args.api or os.environ.get("ELB_API") or DEFAULT_API
    token = token_source(os.environ.get("ELB_TOKEN"), args.token_command)
    api = Api(address, token, clock, args.patience)
    again = ("python", "-m", "elb", *(("--api", args.api) if args.api else ()))
    try:
        code: Exit = args.run(Session(api, out, again), args)
        return code
    finally:
        api.close()


if __name__ == "__main__":
    sys.exit(main())
