"""`tocsin receive`: the process where senders post; all it needs is JetStream."""

from contextlib import suppress
from urllib.parse import urlsplit

from console.processes.clients import Clients, stopping
from console.processes.web import Web
from ingest.app import Edge, create_app
from ingest.auth import Keyring
from ingest.publisher import Publisher
from ingest.readiness import Readiness
from tocsin.errors import SecretMissing
from tocsin.settings import Settings
from tocsin.tenant_files import load_tenants


async def run(settings: Settings) -> None:
    """Serve until asked to stop.

    Raises:
        ConfigError: A tenant file, the address or the certificate is wrong.
    """
    tenants = load_tenants(settings.tenants)
    async with stopping() as stop, Clients(settings, "receiver") as clients:
        bus = await clients.bus(wait=False)
        others = _others(settings, await _postgres(clients))
        edge = Edge(
            Keyring(tenants),
            Publisher(bus, tenants, settings.receiver),
            Readiness(bus, others),
        )
        receiver = settings.receiver
        web = Web(
            create_app(edge),
            listen=receiver.listen,
            tls_cert=receiver.tls_cert,
            tls_key=receiver.tls_key,
            insecure=receiver.insecure,
        )
        await web.run(stop)


async def _postgres(clients: Clients) -> str:
    """Where PostgreSQL is; empty when only Vault could tell, which the receiver never asks."""
    dsn = clients.settings.postgres.dsn
    if dsn.startswith("vault:"):
        return ""
    with suppress(SecretMissing):
        return await clients.secrets.value(dsn)
    return ""


def _others(settings: Settings, postgres: str) -> dict[str, tuple[str, int]]:
    """Where the dependencies of other processes listen, to be shown in `/readyz`."""
    urls = {
        "postgres": (postgres, 5432),
        "temporal": (f"//{settings.temporal.address}", 7233),
        "vault": (settings.vault.address, 8200),
    }
    parts = {name: (urlsplit(url), port) for name, (url, port) in urls.items() if url}
    return {
        name: (part.hostname, part.port or port)
        for name, (part, port) in parts.items()
        if part.hostname
    }
