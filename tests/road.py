"""The road of an alert, seen from outside."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import httpx
import msgspec
from sqlalchemy import text
from temporalio.client import Client

from ingest.books import Balance, balance
from tests.stack import RunningStack
from tocsin.domain.alert import TenantName
from tocsin.jetstream import Bus
from tocsin.settings import TemporalSettings
from tocsin.store.database import Database
from tocsin.temporal import connect

Seen = TypeVar("Seen")
DEMO = TenantName("demo")


def wazuh_alert(*, level: int = 3, **more: Any) -> dict[str, Any]:
    """A Wazuh alert that no other test has."""
    return {
        "timestamp": "2026-11-20T15:04:05.678+0000",
        "rule": {
            "level": level,
            "description": "sshd: authentication failed.",
            "id": "5716",
            "groups": ["syslog", "sshd", "authentication_failed"],
        },
        "agent": {"id": "007", "name": "web-07", "ip": "192.0.2.7"},
        "manager": {"name": "manager-1"},
        "id": f"1795187045.{uuid.uuid4().int % 10**12}",
        "full_log": "Nov 20 15:04:05 web-07 sshd[99]: Failed password for root from 198.51.100.9",
        "data": {"srcip": "198.51.100.9", "srcuser": "root"},
        "location": "/var/log/auth.log",
        **more,
    }


class Road:
    """Posts alerts and looks at what becomes of them."""

    def __init__(
        self, stack: RunningStack, web: httpx.AsyncClient, bus: Bus, database: Database
    ) -> None:
        self.stack = stack
        self.web = web
        self.bus = bus
        self.database = database

    async def post(
        self, body: bytes | dict[str, Any], source: str = "wazuh", **headers: str
    ) -> httpx.Response:
        """Post with the ingest token."""
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return await self.web.post(
            f"{self.stack.endpoints.receiver}/v1/alerts/{source}",
            content=content,
            headers={"Authorization": f"Bearer {self.stack.endpoints.token}", **headers},
        )

    async def take(self, alert: dict[str, Any]) -> str:
        """Post one alert, and give its id."""
        answer = await self.post(alert)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["ids"][0])

    async def rows(self, query: str, **values: Any) -> list[Any]:
        """Ask the database."""
        async with self.database.transaction() as connection:
            return list((await connection.execute(text(query), values)).all())

    async def state(self, alert_id: str, run: int = 0) -> str | None:
        """The state of an alert; None before it is recorded."""
        found = await self.rows(
            "SELECT state FROM alerts WHERE id = :id AND run = :run", id=alert_id, run=run
        )
        return found[0].state if found else None

    async def finished(self, *alert_ids: str) -> None:
        """Wait until alerts are finished."""

        async def look() -> bool:
            states = [await self.state(each) for each in alert_ids]
            return all(state == "finished" for state in states)

        await eventually(look, f"{alert_ids} are finished")

    async def inbox(self) -> list[dict[str, Any]]:
        """What arrived in the stack's inbox."""
        answer = await self.web.get(f"{self.stack.endpoints.inbox_http}/messages")
        return list(answer.json())

    async def arrived(self, alert_id: str) -> list[dict[str, Any]]:
        """What arrived in the inbox about one alert."""
        return [each for each in await self.inbox() if each["key"].startswith(alert_id)]

    async def temporal(self) -> Client:
        """A client of the stack's Temporal."""
        return await connect(TemporalSettings(address=self.stack.endpoints.temporal))

    async def books(self) -> Balance:
        """The books now."""
        return await balance(self.bus, self.database, [DEMO])

    async def settled(self) -> Balance:
        """The books once nothing is pending or running, whatever earlier tests left behind."""

        async def look() -> Balance | None:
            books = await self.books()
            return books if books.settled else None

        books = await eventually(look, "nothing is pending or running", within=60)
        assert books.balanced, books
        return books


async def eventually(
    look: Callable[[], Awaitable[Seen | None]], promise: str, within: float = 30.0
) -> Seen:
    """Look until there is something to see, and return it."""
    deadline = time.monotonic() + within
    while not (seen := await look()):
        assert time.monotonic() < deadline, f"not within {within} s: {promise}"
        await asyncio.sleep(0.05)
    return seen
