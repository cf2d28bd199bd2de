"""Starts one program so that it cannot outlive its parent.

Run as `python -I -S launch.py PARENT SIGNAL PROGRAM [ARGUMENT...]`: asks the kernel to send SIGNAL
when the parent's thread ends (prctl(2), PR_SET_PDEATHSIG), and becomes the program. It is a
program of its own, and imports nothing of ours, because the request is lost when credentials
change: it has to be made after `unshare`, and before the program.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Become the program; end silently when the parent is gone already."""
    parent, signal, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal) != 0:
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() == parent:
        os.execvp(program[0], program)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
