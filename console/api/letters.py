"""`/v1/dead-letters`: quarantine and dead letters, and their redrive."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from console.api import parameters
from console.api.answers import Raw, Redriven, answer, require_id
from console.api.backends import Backends
from console.api.paging import page
from tocsin.errors import NotFound
from tocsin.store.dead_letters import (
    LetterFilter,
    LetterItem,
    StoredLetter,
    list_letters,
    load,
)
from tocsin.store.paging import Key

_REDRIVEN: Final = {"open": False, "redriven": True, "all": None}


class LetterDetail(LetterItem, frozen=True, kw_only=True):
    """A letter with its bytes.

    Attributes:
        raw: The bytes as they came.
    """

    raw: Raw


class Letters:
    """Answers about letters.

    Args:
        backends: What is asked.
    """

    LIST = (
        parameters.SINCE,
        parameters.KIND,
        parameters.OPEN,
        parameters.SOURCE,
        parameters.TENANT,
        parameters.LIMIT,
        parameters.CURSOR,
    )

    def __init__(self, backends: Backends) -> None:
        self._backends = backends

    async def list(self, request: Request) -> Response:
        """One page, newest first."""
        given = parameters.read(request.query_params, self.LIST)
        limit, after = given.pop("limit"), given.pop("cursor")
        which = LetterFilter(redriven=_REDRIVEN[given.pop("status")], **given)
        database = await self._backends.database()
        items = await list_letters(database, which, after=after, limit=limit + 1)
        return answer(page(items, limit, _key))

    async def show(self, request: Request) -> Response:
        """One letter with its bytes."""
        parameters.read(request.query_params, ())
        letter = await self._load(request)
        fields = {name: getattr(letter, name) for name in LetterItem.__struct_fields__}
        return answer(LetterDetail(**fields, raw=Raw.of(letter.raw)))

    async def redrive(self, request: Request) -> Response:
        """Publish what is in a letter again."""
        parameters.read(request.query_params, ())
        letter = await self._load(request)
        redriver = await self._backends.redriver()
        return answer(Redriven.of(await redriver.redrive_letter(letter)))

    async def _load(self, request: Request) -> StoredLetter:
        id_ = require_id(request)
        letter = await load(await self._backends.database(), id_)
        if letter is None:
            raise NotFound(f"There is no letter {id_}.")
        return letter


def _key(item: LetterItem) -> Key:
    return Key(item.received_at, item.id)
