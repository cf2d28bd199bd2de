"""Servers that the whole suite shares: one real stack per session, fresh names per test."""

import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from hypothesis import settings
from temporalio.testing import WorkflowEnvironment

from console.embedded.options import StackOptions
from console.processes.clients import Clients
from tests.road import Road
from tests.stack import RunningStack, running_stack
from tocsin.settings import load_settings
from tocsin.temporal import DATA_CONVERTER

# The same examples in every run, and no deadline: two cores are shared with the servers.
settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A whole stack; a test that stops a part of it starts it again."""
    folder = tmp_path_factory.mktemp("stack")
    with running_stack(StackOptions(data_dir=folder / "data")) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def clients(stack: RunningStack) -> AsyncIterator[Clients]:
    """Clients of the stack's servers, opened as a process of ours opens them."""
    settings = load_settings(Path(stack.endpoints.configuration))
    async with Clients(settings, "tests") as opened:
        yield opened


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def road(stack: RunningStack, clients: Clients) -> AsyncIterator[Road]:
    """The road of an alert, seen from outside: post, look, wait."""
    async with httpx.AsyncClient(timeout=20, trust_env=False) as web:
        yield Road(stack, web, await clients.bus(), await clients.database())


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def operators(stack: RunningStack) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the operators' interface, with their token."""
    async with httpx.AsyncClient(
        base_url=stack.endpoints.api,
        headers={"Authorization": f"Bearer {stack.endpoints.operator_token}"},
        timeout=30,
        trust_env=False,
    ) as client:
        yield client


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def time_skipping() -> AsyncIterator[WorkflowEnvironment]:
    """Temporal's test server, on which days pass in no time."""
    server = Path(sys.executable).with_name("temporal-test-server")
    async with await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=str(server), data_converter=DATA_CONVERTER
    ) as environment:
        yield environment


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave without finalizing.

    On Python 3.11 a process that ends right after closing a Temporal client may abort while the
    interpreter finalizes, after all work is done.
    """
    session = config.pluginmanager.get_plugin("session-status")
    if isinstance(session, _Status) and not hasattr(config, "workerinput"):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(session.code)


class _Status:
    """Remembers the exit status until pytest has printed its summary."""

    code = 0

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Keep it."""
        self.code = int(exitstatus)


def pytest_configure(config: pytest.Config) -> None:
    """Begin to remember."""
    config.pluginmanager.register(_Status(), "session-status")
