"""Tokens as they are given to the command, before a header holds them."""

import re
from typing import Final

from tocsin.errors import ConfigError, Problem

# A field value (RFC 9110, section 5.5), without what is not ASCII.
_SENDABLE: Final = re.compile(r"(?:[!-~](?:[\t -~]*[!-~])?)?")


def sendable(token: str, *, name: str, hint: str) -> str:
    """A token without the line breaks around it, which reading it from a file leaves.

    Args:
        token: As given; may be empty.
        name: The flag or variable that it came by.
        hint: What to do about a wrong one.

    Raises:
        ConfigError: No header can hold it. The message never carries it.
    """
    bare = token.strip("\r\n")
    if _SENDABLE.fullmatch(bare) is None:
        message = "is no token: one line of printable ASCII, without space at its ends"
        raise ConfigError((Problem(file=name, message=message, hint=hint),))
    return bare
