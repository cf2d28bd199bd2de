"""What the operators' answers share."""

import re
from typing import Final, Self

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tocsin.domain.alert import AlertRef
from tocsin.errors import NotFound

_ID: Final = re.compile(r"[0-9a-f]{32}")


class Raw(msgspec.Struct, frozen=True):
    """Bytes as a sender posted them.

    Attributes:
        base64: The bytes themselves.
        text: The same as text, with U+FFFD in place of what is no UTF-8.
    """

    base64: bytes
    text: str

    @classmethod
    def of(cls, raw: bytes) -> Self:
        """Show some bytes."""
        return cls(raw, raw.decode("utf-8", "replace"))


class RedrivenRun(msgspec.Struct, frozen=True):
    """One run that was published.

    Attributes:
        id: The alert's id.
        run: Which run of it.
    """

    id: str
    run: int


class Redriven(msgspec.Struct, frozen=True):
    """What a redrive published.

    Attributes:
        redriven: The runs, in body order.
    """

    redriven: list[RedrivenRun]

    @classmethod
    def of(cls, refs: tuple[AlertRef, ...]) -> Self:
        """Tell of some runs."""
        return cls([RedrivenRun(ref.alert_id, ref.run) for ref in refs])


def answer(content: object) -> Response:
    """A JSON answer."""
    return Response(msgspec.json.encode(content), media_type="application/json")


def require_id(request: Request) -> str:
    """The id in the path.

    Raises:
        NotFound: It is none that we give.
    """
    id_ = str(request.path_params["id"])
    if _ID.fullmatch(id_) is None:
        raise NotFound("Ids are 32 of 0-9 and a-f.")
    return id_
