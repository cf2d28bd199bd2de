"""The operators' interface beside a server that stands still, which no time-out of its own ends."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest_asyncio

from console.api.app import create_app
from console.api.backends import Backends
from console.api.operators import Operators
from console.processes.clients import Clients
from tests.command import tocsin
from tests.freezing import frozen
from tests.road import eventually
from tests.stack import RunningStack
from tocsin.settings import load_settings


@pytest_asyncio.fixture
async def impatient(stack: RunningStack) -> AsyncIterator[httpx.AsyncClient]:
    """The interface on the stack's servers, with a second of patience."""

    async def token() -> str:
        return "token"

    settings = load_settings(Path(stack.endpoints.configuration))
    async with Clients(settings, "impatient") as clients:
        backends = Backends(clients, {}, longest=timedelta(seconds=1))
        app = create_app(backends, Operators(token, ()), settings.temporal)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://operators",
            headers={"Authorization": "Bearer token"},
        ) as client:
            yield client


async def test_questions_end_in_time(stack: RunningStack, impatient: httpx.AsyncClient) -> None:
    """While PostgreSQL stands still, questions are answered 503 in time, and 200 afterwards."""
    paths = ("/v1/alerts", "/v1/balance", "/v1/dead-letters", "/readyz")

    async def well() -> bool:
        return all([(await impatient.get(path)).is_success for path in paths])

    await eventually(well, "all is answered")
    postgres = stack.pid("postgres")
    assert postgres
    with frozen(postgres):
        async with asyncio.timeout(10):
            during = await asyncio.gather(*(impatient.get(path) for path in paths))
    await eventually(well, "all is answered again")
    assert [answer.status_code for answer in during] == [503] * 4
    *refused, ready = during
    assert {answer.json()["type"] for answer in refused} == {"urn:tocsin:problem:unavailable"}
    assert all(int(answer.headers["retry-after"]) > 0 for answer in refused)
    assert ready.json()["dependencies"] == {"postgres": "away", "nats": "ok"}


async def test_balance_ends_in_time(stack: RunningStack) -> None:
    """`balance --wait` gives up soon after its time while PostgreSQL stands still."""
    postgres = stack.pid("postgres")
    assert postgres
    began = time.monotonic()
    with frozen(postgres):
        ran = await tocsin("balance", f"--data-dir={stack.data_dir}", "--wait", "2")
    assert time.monotonic() - began < 15
    assert (ran.code, ran.output) == (1, "")
    assert "no answer within" in ran.errors
