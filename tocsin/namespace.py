"""The Temporal namespace as it shall be: retention and search attributes, made idempotently."""

import asyncio
import time
from datetime import timedelta
from typing import Final

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    RegisterNamespaceRequest,
    UpdateNamespaceRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from tocsin.errors import EngineUnavailable
from tocsin.settings import TemporalSettings
from tocsin.temporal import SEARCH_ATTRIBUTES, connect

_KNOWN_WITHIN: Final = 30.0
_LOOK_AGAIN: Final = 0.2


async def provide_namespace(settings: TemporalSettings) -> None:
    """Create or update the namespace, and add the search attributes it lacks.

    Raises:
        EngineUnavailable: Temporal does not answer, or refuses a change.
    """
    client = await connect(settings)
    try:
        await _provide_retention(client, settings.retention)
        await _provide_search_attributes(client)
    except RPCError as error:
        raise EngineUnavailable(f"the namespace was not set up: {error.message}") from error


async def find_missing(settings: TemporalSettings) -> list[str]:
    """What the namespace lacks of what `provide_namespace` makes, by name.

    Raises:
        EngineUnavailable: Temporal does not answer.
    """
    client = await connect(settings)
    try:
        return [f"search attribute {name}" for name in await _missing_attributes(client)]
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return [f"namespace {settings.namespace}"]
        raise EngineUnavailable(f"no answer about the namespace: {error.message}") from error


async def _provide_retention(client: Client, retention: timedelta) -> None:
    service, name = client.workflow_service, client.namespace
    wanted = Duration(seconds=int(retention.total_seconds()))
    try:
        described = await service.describe_namespace(DescribeNamespaceRequest(namespace=name))
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        await _register(client, wanted)
        return
    if described.config.workflow_execution_retention_ttl != wanted:
        config = NamespaceConfig(workflow_execution_retention_ttl=wanted)
        await service.update_namespace(UpdateNamespaceRequest(namespace=name, config=config))


async def _register(client: Client, retention: Duration) -> None:
    request = RegisterNamespaceRequest(
        namespace=client.namespace, workflow_execution_retention_period=retention
    )
    try:
        await client.workflow_service.register_namespace(request)
    except RPCError as error:
        if error.status != RPCStatusCode.ALREADY_EXISTS:  # another process was quicker
            raise


async def _provide_search_attributes(client: Client) -> None:
    if missing := await _missing_once_known(client):
        keyword = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                namespace=client.namespace, search_attributes=dict.fromkeys(missing, keyword)
            )
        )


async def _missing_once_known(client: Client) -> list[str]:
    """Wait for a namespace that was just made: the server itself learns of it after seconds."""
    deadline = time.monotonic() + _KNOWN_WITHIN
    while True:
        try:
            return await _missing_attributes(client)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND or time.monotonic() > deadline:
                raise
        await asyncio.sleep(_LOOK_AGAIN)


async def _missing_attributes(client: Client) -> list[str]:
    known = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    return [key.name for key in SEARCH_ATTRIBUTES if key.name not in known.custom_attributes]
