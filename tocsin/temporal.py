"""Temporal: the connection, the converter of payloads and the search attributes."""

from typing import Any, Final

import msgspec
from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultPayloadConverter,
    EncodingPayloadConverter,
    JSONPlainPayloadConverter,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from tocsin.errors import EngineUnavailable, is_permanent
from tocsin.settings import TemporalSettings

TENANT: Final = SearchAttributeKey.for_keyword("TocsinTenant")
SOURCE: Final = SearchAttributeKey.for_keyword("TocsinSource")
SEVERITY: Final = SearchAttributeKey.for_keyword("TocsinSeverity")
SEARCH_ATTRIBUTES: Final = (TENANT, SOURCE, SEVERITY)


class _StructConverter(EncodingPayloadConverter):
    """Writes and reads our frozen structs as plain JSON, in place of the slower default."""

    @property
    def encoding(self) -> str:
        return "json/plain"

    def to_payload(self, value: Any) -> Payload | None:  # noqa: ANN401 - the base class's type
        return Payload(metadata={"encoding": b"json/plain"}, data=msgspec.json.encode(value))

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:  # noqa: ANN401
        return msgspec.json.decode(payload.data, type=type_hint or Any)


class _Payloads(CompositePayloadConverter):
    def __init__(self) -> None:
        super().__init__(
            *(
                _StructConverter()
                if isinstance(converter, JSONPlainPayloadConverter)
                else converter
                for converter in DefaultPayloadConverter.default_encoding_payload_converters
            )
        )


class Classifying(Interceptor):
    """Ends an activity for good where trying again would repeat the failure.

    Temporal itself compares the names of classes; this looks at what they are, so that a subclass
    is treated as the class it extends.
    """

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - the base class's name
        """Stand before every activity of a worker."""
        return _Classified(next)


class _Classified(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002, ANN401
        try:
            return await super().execute_activity(input)
        except Exception as error:
            if not is_permanent(error):
                raise
            raise ApplicationError(
                str(error), type=type(error).__name__, non_retryable=True
            ) from error


DATA_CONVERTER: Final = DataConverter(payload_converter_class=_Payloads)


async def connect(settings: TemporalSettings, *, lazy: bool = False) -> Client:
    """Connect to the frontend.

    Args:
        settings: Where it is.
        lazy: Connects at the first call instead, for a process that can live without it.

    Raises:
        EngineUnavailable: It does not answer.
    """
    try:
        return await Client.connect(
            settings.address,
            namespace=settings.namespace,
            data_converter=DATA_CONVERTER,
            lazy=lazy,
        )
    except (RPCError, RuntimeError, OSError) as error:
        raise EngineUnavailable(f"Temporal at {settings.address}: {error}") from error
