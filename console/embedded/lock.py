"""One stack per data directory, and the ports that it needs are free."""

import errno
import fcntl
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from console.embedded.failure import StackFailed
from tocsin.errors import ConfigError, Problem

FREE_WITHIN = timedelta(seconds=3)
LOOKS = 5
LOOK_SECONDS = 0.05


@contextmanager
def hold(directory: Path) -> Iterator[None]:
    """Hold the data directory for this process; the kernel lets go when the process ends.

    Raises:
        StackFailed: Another process holds it.
    """
    descriptor = os.open(_path_in(directory), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not _try_lock(descriptor, fcntl.LOCK_EX, LOOKS):
            pid = os.read(descriptor, 32).decode().strip()
            raise StackFailed(
                f"already running in {directory} as process {pid}; "
                f"stop it (kill {pid}) or choose another --data-dir"
            )
        os.truncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def is_held(directory: Path) -> bool:
    """True while a stack runs, or starts, in a data directory."""
    try:
        descriptor = os.open(_path_in(directory), os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(descriptor, fcntl.LOCK_SH, 1)
    finally:
        os.close(descriptor)


def require_free(addresses: Mapping[str, tuple[str, int]], directory: Path) -> None:
    """Make sure that nobody listens where our parts are going to.

    The children of a command that was just killed may need a moment to go, so a taken port is
    tried again for three seconds.

    Args:
        addresses: Part to host and port.
        directory: The data directory, for the message.

    Raises:
        ConfigError: This machine has no such address.
        StackFailed: A port is taken.
    """
    deadline = time.monotonic() + FREE_WITHIN.total_seconds()
    for part, (host, port) in addresses.items():
        while _is_taken(host, port):
            if time.monotonic() > deadline:
                raise StackFailed(
                    f"port {port} ({part}) on {host} is taken by another program; stop it, or "
                    f"write a free port instead of {port} in the files of {directory}: "
                    "state.json, tocsin.yaml and tenants/"
                )
            time.sleep(LOOK_SECONDS)


def _path_in(directory: Path) -> Path:
    return directory / "lock"


def _try_lock(descriptor: int, kind: int, times: int) -> bool:
    """Try to lock; more than once where `is_held`, asked by others, may be in the way."""
    for _ in range(times):
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(LOOK_SECONDS)
        else:
            return True
    return False


def _is_taken(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return True
            message = f"cannot listen on {host}:{port}: {error.strerror}"
            hint = "give an address of this machine, and a port that its user may have"
            raise ConfigError((Problem(file="listen", message=message, hint=hint),)) from error
    return False
