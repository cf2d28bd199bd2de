"""Types of configuration values: what each refuses, and takes."""

import pytest
from pydantic import TypeAdapter, ValidationError

from tocsin.fields import HeaderName

HEADER_NAME = TypeAdapter[str](HeaderName)


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
        "Keep-Alive",
        "Proxy-Connection",
        "TE",
        "Trailer",
        "Upgrade",
    ],
)
def test_header_of_the_connection_is_refused(name: str) -> None:
    """A request may not be given what would keep it from ever being sent, however it is written."""
    for written in (name, name.lower(), name.upper()):
        with pytest.raises(ValidationError, match="tocsin sets itself"):
            HEADER_NAME.validate_python(written)


@pytest.mark.parametrize("name", ["Authorization", "X-Host", "Content-Type"])
def test_header_of_the_request_is_taken(name: str) -> None:
    """Any other header may be given."""
    assert HEADER_NAME.validate_python(name) == name
