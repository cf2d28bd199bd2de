"""Pages and their cursors."""

import base64
import binascii
import re
from collections.abc import Callable
from datetime import datetime
from typing import Final, Generic, TypeVar

import msgspec

from tocsin.store.paging import Key

USUAL_PAGE: Final = 100
LONGEST_PAGE: Final = 1000

Item = TypeVar("Item")

_ID: Final = re.compile(r"[0-9a-f]{32}[A-Za-z0-9/_-]{0,100}")


class Page(msgspec.Struct, Generic[Item], frozen=True):
    """One page of a list.

    Attributes:
        items: Its items.
        next: The `cursor` of the page that follows; None when there is none.
    """

    items: list[Item]
    next: str | None


def page(items: list[Item], limit: int, key: Callable[[Item], Key]) -> Page[Item]:
    """Make a page.

    Args:
        items: One more than the limit, when there are that many.
        limit: Most items of the page.
        key: Where in the list an item stands.
    """
    shown = items[:limit]
    return Page(shown, encode_cursor(key(shown[-1])) if len(items) > limit else None)


def encode_cursor(key: Key) -> str:
    """Write a key as text that means nothing to anybody else."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).rstrip(b"=").decode()


def decode_cursor(text: str) -> Key:
    """Read it.

    Raises:
        ValueError: It is none.
    """
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        time, id_ = msgspec.json.decode(base64.urlsafe_b64decode(padded), type=tuple[datetime, str])
    except (UnicodeEncodeError, binascii.Error, msgspec.MsgspecError) as error:
        raise ValueError(text) from error
    if time.tzinfo is None or _ID.fullmatch(id_) is None:
        raise ValueError(text)
    return Key(time, id_)
