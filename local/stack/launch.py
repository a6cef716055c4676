"""Becomes a program that the kernel kills when the supervisor ends. Run by :mod:`local.stack.process`, never imported.

``launch.py PARENT PROGRAM ARG...``. A program of its own, and not a ``preexec_fn``: that is unsafe in a process with
threads, and the tests run the supervisor in a thread. Standard library only, so that it starts in milliseconds.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

parent, program = int(sys.argv[1]), sys.argv[2:]
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
if os.getppid() != parent:
    # The supervisor ended before the kernel knew of our wish.
    sys.exit(1)
os.execvp(program[0], program)  # noqa: S606 - becoming another program is the purpose
