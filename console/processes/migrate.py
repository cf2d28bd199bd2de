"""`tocsin migrate`: everything an installation needs to exist, made or updated."""

from collections.abc import Callable
from typing import Final

from console.processes.clients import Clients
from migrations.upgrade import upgrade
from tocsin.errors import ConfigError, Problem
from tocsin.namespace import provide_namespace
from tocsin.settings import Settings
from tocsin.store.tenants import register
from tocsin.streams import provide
from tocsin.tenant_files import load_tenants

# Nothing of ours is made in Vault; it is left alone in any case.
SERVERS: Final = ("postgres", "nats", "temporal", "vault")


async def run(
    settings: Settings, *, report: Callable[[str], None], without: frozenset[str] = frozenset()
) -> None:
    """Bring schema, streams and namespace up to date; safe to run again, and from several places.

    Args:
        settings: Where everything is.
        report: Takes lines of progress.
        without: Servers to leave alone, of `SERVERS`.

    Raises:
        ConfigError: A tenant file is wrong, or `without` names what is no server.
        Unavailable: PostgreSQL, JetStream or Temporal is away.
    """
    if unknown := ", ".join(sorted(without - set(SERVERS))):
        problem = Problem(
            file="--without", message=f"no such server: {unknown}", hint=", ".join(SERVERS)
        )
        raise ConfigError((problem,))
    tenants = load_tenants(settings.tenants)
    async with Clients(settings, "migrate") as clients:
        if "postgres" not in without:
            database = await clients.database()
            await upgrade(database)
            await register(database, tenants)
            report("schema is up to date")
        if "nats" not in without:
            bus = await clients.bus()
            await provide(bus, settings.nats, settings.worker, tenants)
            report("streams and consumers are up to date")
        if "temporal" not in without:
            await provide_namespace(settings.temporal)
            report("namespace and search attributes are up to date")
