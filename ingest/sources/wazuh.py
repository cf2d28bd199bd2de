"""Wazuh, in every shape in which its alerts are sent over HTTP.

A body is known by its structure, never by a header: the whole alert by itself, carried in an
envelope of the `shuffle` or `pagerduty` sender or in a search hit, told in a digest, or, from
Wazuh 5 on, one or many findings.
"""

from typing import Any

from ingest.sources.base import Reading, Source
from ingest.sources.fields import child, text
from ingest.sources.wazuh_alert import read_alert
from ingest.sources.wazuh_digest import read_lines, read_slack
from ingest.sources.wazuh_finding import read_finding
from tocsin.errors import NotAnAlert

_CARRIERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("shuffle", ("all_fields",)),
    ("pagerduty", ("payload", "custom_details")),
    ("hit", ("_source",)),
    ("alert", ()),
)
"""Name of each shape that carries a whole alert, and the path it stands at."""


class Wazuh(Source):
    """Wazuh 3.x, 4.x and 5.x."""

    bundles = (("hits", "hits"), ("hits",))
    """A search response, and a monitor's message by our template."""

    def parse(self, document: Any) -> Reading:  # noqa: ANN401 - JSON
        """Find the shape, and read it."""
        _, hits = self._bundled(document)
        if len(hits) == 1:
            (document,) = hits
        if not isinstance(document, dict):
            raise NotAnAlert("It is no JSON object")
        for shape, path in _CARRIERS:
            if path and path[0] not in document:
                continue
            alert = child(document, *path)
            if isinstance(alert.get("rule"), dict):
                return read_alert(alert, shape)
        found = (
            read_finding(child(document, "_source"), text(document.get("_id")), "hit")
            or read_finding(document, "", "finding")
            or read_slack(document)
            or read_lines(document)
        )
        if found is None:
            raise NotAnAlert("It has no `rule` object, and is no other shape of a Wazuh alert")
        return found
