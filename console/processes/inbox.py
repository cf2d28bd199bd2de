"""The process of the stack's own inbox."""

from console.embedded.inbox import Inbox
from console.processes.clients import stopping
from console.processes.web import Web, address
from tocsin.secrets import Secrets
from tocsin.settings import VaultSettings


async def run(*, http: str, smtp: str, username: str, password: str) -> None:
    """Take notifications until asked to stop.

    Args:
        http: `ADDRESS:PORT` of the HTTP endpoint.
        smtp: `ADDRESS:PORT` of the SMTP listener.
        username: SMTP user.
        password: Reference to its password.

    Raises:
        ConfigError: An address is taken or is none.
        SecretMissing: The reference leads to nothing.
    """
    async with Secrets(VaultSettings()) as secrets:
        inbox = Inbox(username, await secrets.resolve(password))
    host, port = address(smtp)
    async with stopping() as stop:
        server = await inbox.serve_smtp(host, port)
        try:
            await Web(inbox.app(), listen=http).run(stop)
        finally:
            server.close()
