"""The integration that runs on a Wazuh manager, run as wazuh-integratord runs it."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "integrations" / "wazuh"
KEY = "key-that-nobody-may-see"
CAPABILITY = "capability-that-nobody-may-see"
ALERT = b'{"rule":{"id":"1"},"full_log":"\xff\xc3(\\ud83d\\ude00"}'


class Receiver(ThreadingHTTPServer):
    """A receiver that answers as told, and remembers what it was sent."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.bodies: list[bytes] = []
        self.requests: list[BaseHTTPRequestHandler] = []
        super().__init__(("127.0.0.1", 0), Answer)

    @property
    def url(self) -> str:
        """Where it listens, with a capability."""
        return f"http://127.0.0.1:{self.server_port}/v1/hook/{CAPABILITY}?x=1"


class Answer(BaseHTTPRequestHandler):
    """One request to the receiver."""

    server: Receiver

    def do_POST(self) -> None:
        """Remember the request and give the next answer."""
        self.server.requests.append(self)
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(self.server.answers.pop(0))
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver on a free port."""
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def alert(tmp_path: Path) -> Path:
    """The file that integratord writes for one alert."""
    path = tmp_path / "custom-tocsin-1794902569-17.alert"
    path.write_bytes(ALERT)
    return path


@pytest.fixture
def manager(tmp_path: Path) -> Path:
    """A manager's folder with the integration installed in it."""
    (tmp_path / "logs").mkdir()
    shutil.copytree(SCRIPTS, tmp_path / "integrations")
    return tmp_path


def run(manager: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the installed integration on this Python, through its wrapper."""
    python = manager / "framework" / "python" / "bin" / "python3"
    python.parent.mkdir(parents=True, exist_ok=True)
    python.unlink(missing_ok=True)
    python.symlink_to(sys.executable)
    wrapper = manager / "integrations" / "custom-tocsin"
    done = subprocess.run(
        [wrapper, *arguments], capture_output=True, text=True, timeout=20, check=False
    )
    log = manager / "logs" / "integrations.log"
    told = done.stdout + done.stderr + (log.read_text() if log.exists() else "")
    assert KEY not in told
    assert CAPABILITY not in told
    return done


def test_the_alert_arrives_byte_for_byte(receiver: Receiver, manager: Path, alert: Path) -> None:
    """Bytes that are no UTF-8 arrive as they stand in the file, with the key as a bearer token."""
    receiver.answers = [202]
    assert run(manager, alert, KEY, receiver.url, "", "", "10", "3").returncode == 0
    assert receiver.bodies == [ALERT]
    (request,) = receiver.requests
    assert request.path == f"/v1/hook/{CAPABILITY}?x=1"
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert request.headers["Content-Type"] == "application/json"


def test_a_capability_needs_no_key(receiver: Receiver, manager: Path, alert: Path) -> None:
    """Without a key no credentials are sent."""
    receiver.answers = [200]
    assert run(manager, alert, "", receiver.url).returncode == 0
    assert receiver.requests[0].headers["Authorization"] is None


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        pytest.param([503, 202], 0, id="busy once"),
        pytest.param([429, 503, 202], 0, id="busy twice"),
        pytest.param([503, 503, 503], 1, id="busy for good"),
        pytest.param([400], 1, id="refused"),
        pytest.param([401], 1, id="not let in"),
        pytest.param([500], 1, id="broken"),
        pytest.param([302], 1, id="a redirect is not followed"),
        pytest.param([307], 1, id="nor one that keeps the method"),
    ],
)
def test_answers(
    receiver: Receiver, manager: Path, alert: Path, answers: list[int], status: int
) -> None:
    """Only what may pass is tried again, and only a yes is success."""
    receiver.answers = list(answers)
    assert run(manager, alert, KEY, receiver.url).returncode == status
    assert len(receiver.bodies) == len(answers)
    log = manager / "logs" / "integrations.log"
    assert log.exists() == bool(status)


def test_a_receiver_that_is_away_is_told(receiver: Receiver, manager: Path, alert: Path) -> None:
    """A refused connection is an error in the log, after the attempts are used up."""
    receiver.server_close()
    assert run(manager, alert, KEY, receiver.url).returncode == 1
    assert "refused" in (manager / "logs" / "integrations.log").read_text()


@pytest.mark.parametrize(
    "url",
    ["ftp://127.0.0.1/", "127.0.0.1", f"http://[::1/{CAPABILITY}", f"http://x:y/{CAPABILITY}"],
)
def test_a_wrong_url_fails_without_telling_it(manager: Path, alert: Path, url: str) -> None:
    """A URL that cannot be posted to is an error that does not quote it."""
    assert run(manager, alert, KEY, url).returncode == 1


def test_credentials_that_fit_no_header_are_not_told(
    receiver: Receiver, manager: Path, alert: Path
) -> None:
    """Python quotes a bad header in its error; the log does not."""
    assert run(manager, alert, f"{KEY}\n", receiver.url).returncode == 1
    assert run(manager, alert, KEY, f"{receiver.url}\x01").returncode == 1
    assert receiver.bodies == []


@pytest.mark.parametrize("options", ["", "[]", "{}", '{"ca_file": null}'])
def test_options_may_be_anything(
    receiver: Receiver, manager: Path, alert: Path, options: str
) -> None:
    """An options file without a word for us changes nothing."""
    path = manager / "options.json"
    path.write_text(options)
    receiver.answers = [202]
    assert run(manager, alert, KEY, receiver.url, "debug", path).returncode == 0


def test_a_missing_authority_is_an_error(receiver: Receiver, manager: Path, alert: Path) -> None:
    """An authority that is named and not there is never ignored."""
    path = manager / "options.json"
    path.write_text('{"ca_file": "/nonexistent.pem"}')
    assert run(manager, alert, KEY, receiver.url, "", path).returncode == 1


def test_a_missing_alert_file_is_an_error(receiver: Receiver, manager: Path) -> None:
    """Nothing is sent when there is nothing to send."""
    assert run(manager, manager / "gone.alert", KEY, receiver.url).returncode == 1
    assert receiver.bodies == []


def test_wrong_usage_is_told(manager: Path) -> None:
    """Too few arguments are answered with how to call it."""
    done = run(manager, "x")
    assert done.returncode == 2
    assert done.stderr.startswith("usage:")


def test_the_scripts_are_ready_to_install() -> None:
    """The wrapper can be executed where it is."""
    assert os.access(SCRIPTS / "custom-tocsin", os.X_OK)
