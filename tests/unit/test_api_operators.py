"""Who may use the operators' interface."""

from hashlib import sha256

import pytest

from console.api.operators import Operators
from tocsin.errors import SecretMissing, Unauthenticated, Unavailable
from tocsin.tenants import SourceConfig, TenantConfig

TOKEN = "the-operators-token"
INGEST = "a-sender's-token"


def operators(token: str = TOKEN) -> Operators:
    """Operators with a token, and one tenant whose sender has another."""

    async def resolve() -> str:
        if not token:
            raise SecretMissing("there is none")
        return token

    hashed = (sha256(INGEST.encode()).hexdigest(),)
    source = SourceConfig(name="wazuh", kind="wazuh", tokens=hashed, capabilities=hashed)
    return Operators(resolve, [TenantConfig(tenant="acme", sources=(source,))])


@pytest.mark.parametrize("headers", [{"authorization": f"Bearer {TOKEN}"}, {"x-api-key": TOKEN}])
async def test_operator_comes_in(headers: dict[str, str]) -> None:
    """The operators' token opens the interface, in either header."""
    await operators().admit(headers)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer "},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": "Bearer \xff"},
        {"authorization": f"Bearer {INGEST}"},
    ],
)
async def test_nobody_else_comes_in(headers: dict[str, str]) -> None:
    """No token, another one, or a sender's opens nothing."""
    with pytest.raises(Unauthenticated):
        await operators().admit(headers)


async def test_senders_token_never_works() -> None:
    """A sender's token opens nothing even where somebody made it the operators' too."""
    with pytest.raises(Unauthenticated):
        await operators(token=INGEST).admit({"authorization": f"Bearer {INGEST}"})


async def test_token_that_cannot_be_looked_up_is_an_outage() -> None:
    """Where the operators' token is gone, nobody is let in, and nobody is blamed."""
    with pytest.raises(Unavailable, match="cannot be looked up"):
        await operators(token="").admit({"authorization": f"Bearer {TOKEN}"})
