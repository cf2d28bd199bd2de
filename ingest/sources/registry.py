"""The only place that lists the kinds of senders."""

from ingest.sources.alertmanager import Alertmanager
from ingest.sources.base import Source
from ingest.sources.generic import Generic
from ingest.sources.wazuh import Wazuh
from tocsin.tenants import SourceConfig


def open_source(config: SourceConfig) -> Source:
    """Build the parser that a source's configuration asks for."""
    match config.kind:
        case "wazuh":
            return Wazuh()
        case "alertmanager":
            return Alertmanager()
        case "generic":
            return Generic(config)
