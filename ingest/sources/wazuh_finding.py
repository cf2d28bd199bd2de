"""A Wazuh 5 finding: an event of the Wazuh Common Schema (after ECS) that matched a rule.

Fields after W5:docs/guide/migration/rules-4x-to-5x.md and integratord-notifications.md.
"""

from typing import Any

from ingest.sources.base import Reading
from ingest.sources.fields import child, instant, text, texts
from ingest.sources.harvest import Harvest
from tocsin.domain.alert import Agent, ObservableType, Rule
from tocsin.domain.severity import from_word

_HARVEST = Harvest(
    {
        "source.ip": ObservableType.IP_ADDRESS,
        "source.domain": ObservableType.HOSTNAME,
        "source.user.name": ObservableType.USER_NAME,
        "destination.ip": ObservableType.IP_ADDRESS,
        "destination.domain": ObservableType.HOSTNAME,
        "destination.user.name": ObservableType.USER_NAME,
        "client.ip": ObservableType.IP_ADDRESS,
        "user.name": ObservableType.USER_NAME,
        "user.email": ObservableType.EMAIL_ADDRESS,
        "user.target.name": ObservableType.USER_NAME,
        "host.name": ObservableType.HOSTNAME,
        "observer.hostname": ObservableType.HOSTNAME,
        "dns.question.name": ObservableType.HOSTNAME,
        "url.original": ObservableType.URL,
        "url.domain": ObservableType.HOSTNAME,
        "file.path": ObservableType.FILE_NAME,
        **{
            f"{holder}.hash.{method}": ObservableType.HASH
            for holder in ("file", "process")
            for method in ("md5", "sha1", "sha256")
        },
        "process.executable": ObservableType.PROCESS_NAME,
        "process.name": ObservableType.PROCESS_NAME,
    }
)
_ATTACKER_PATHS = ("source.ip", "client.ip")
_MITRE_KEYS = ("technique", "subtechnique", "id")


def read_finding(document: dict[str, Any], document_id: str, shape: str) -> Reading | None:
    """Read a finding; None when the document is none, for example an event that matched no rule.

    Args:
        document: The indexed document.
        document_id: Its `_id` in the index; empty when it came without.
        shape: Name of the body's shape.
    """
    wazuh = child(document, "wazuh")
    rule, event = child(wazuh, "rule"), child(document, "event")
    if not wazuh or not (rule or event.get("kind") == "alert"):
        return None
    integration = text(child(wazuh, "integration").get("name"))
    original = text(event.get("original"))
    word = text(rule.get("level"))
    observables = _HARVEST.observables(document)
    addresses = {
        observable.name: observable.value
        for observable in reversed(observables)
        if observable.type is ObservableType.IP_ADDRESS
    }
    return Reading(
        identity=("finding", document_id, document),
        source_event_id=document_id or text(event.get("id")),
        shape=shape,
        rule=Rule(
            id=text(rule.get("id")) or integration,
            description=text(rule.get("title")) or original,
            groups=texts(rule.get("tags")),
            mitre=_techniques(child(rule, "mitre")),
        ),
        sender_severity=word,
        severity=from_word(word),
        agent=_agent(document),
        observables=observables,
        source_address=next((addresses[p] for p in _ATTACKER_PATHS if p in addresses), ""),
        time=instant(document.get("@timestamp")),
        location=text(child(wazuh, "protocol").get("location")) or integration,
        message=original or text(rule.get("title")),
    )


def _agent(document: dict[str, Any]) -> Agent:
    agent = child(document, "wazuh", "agent") or child(document, "agent")
    hostname = text(child(agent, "host").get("hostname"))
    return Agent(id=text(agent.get("id")), name=text(agent.get("name")) or hostname)


def _techniques(mitre: dict[str, Any]) -> tuple[str, ...]:
    found: list[str] = []
    for key in _MITRE_KEYS:
        value = mitre.get(key)
        found.extend(texts(value.get("id") if isinstance(value, dict) else value))
    return tuple(dict.fromkeys(found))
