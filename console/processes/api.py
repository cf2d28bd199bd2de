"""`tocsin serve`: the process that operators ask; it starts without PostgreSQL, NATS and Vault."""

import asyncio

import structlog

from console.api.app import create_app
from console.api.backends import Backends
from console.api.operators import Operators
from console.processes.clients import Clients, stopping
from console.processes.web import Web
from tocsin.errors import VaultUnavailable
from tocsin.settings import Settings
from tocsin.tenant_files import load_tenants

log = structlog.get_logger()


async def run(settings: Settings) -> None:
    """Serve until asked to stop.

    Raises:
        ConfigError: A tenant file, the address or the certificate is wrong.
        SecretMissing: A reference that it cannot do without leads nowhere.
    """
    tenants = load_tenants(settings.tenants)
    async with stopping() as stop, Clients(settings, "api") as clients:
        await _require_secrets(clients)
        backends = Backends(clients, tenants)
        token = settings.api.operator_token
        operators = Operators(lambda: clients.secrets.resolve(token), tenants.values())
        web = Web(
            create_app(backends, operators, settings.temporal),
            listen=settings.api.listen,
            tls_cert=settings.api.tls_cert,
            tls_key=settings.api.tls_key,
        )
        opening = asyncio.create_task(backends.report())
        await web.run(stop)
        opening.cancel()


async def _require_secrets(clients: Clients) -> None:
    """Look once at what is needed, so that a wrong reference shows at the start."""
    settings = clients.settings
    try:
        await clients.secrets.resolve(settings.api.operator_token)
        await clients.secrets.value(settings.postgres.dsn)
    except VaultUnavailable as error:
        log.warning("dependency_away", dependency="vault", error=str(error))
