"""Severity in the words and numbers of OCSF, and how senders' own scales map onto it."""

from enum import StrEnum


class Severity(StrEnum):
    """OCSF `severity` (schema 1.9, base event); `id` is its `severity_id`."""

    UNKNOWN = "unknown"
    INFORMATIONAL = "informational"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"
    FATAL = "fatal"

    @property
    def id(self) -> int:
        """The OCSF `severity_id`, 0 (unknown) to 6 (fatal)."""
        return _ORDER.index(self)

    @property
    def caption(self) -> str:
        """The OCSF caption, for example `High`."""
        return self.value.capitalize()


_ORDER = tuple(Severity)

_WAZUH_STEPS = (
    (14, Severity.CRITICAL),
    (10, Severity.HIGH),
    (7, Severity.MEDIUM),
    (4, Severity.LOW),
    (1, Severity.INFORMATIONAL),
)


def from_wazuh_level(level: int | None) -> Severity:
    """Map a Wazuh rule level (0 to 16) by the mapping of Wazuh's own 4.x to 5.x migration guide."""
    if level is None:
        return Severity.UNKNOWN
    return next((severity for least, severity in _WAZUH_STEPS if level >= least), Severity.UNKNOWN)


_WORDS = {
    "info": Severity.INFORMATIONAL,
    "information": Severity.INFORMATIONAL,
    "debug": Severity.INFORMATIONAL,
    "notice": Severity.LOW,
    "minor": Severity.LOW,
    "warn": Severity.MEDIUM,
    "warning": Severity.MEDIUM,
    "moderate": Severity.MEDIUM,
    "error": Severity.HIGH,
    "major": Severity.HIGH,
    "page": Severity.CRITICAL,
    "crit": Severity.CRITICAL,
    "alert": Severity.CRITICAL,
    "emergency": Severity.FATAL,
    **{severity.value: severity for severity in Severity},
}


def from_word(word: str) -> Severity:
    """Map a sender's severity word, in any case; `unknown` for a word nobody uses."""
    return _WORDS.get(word.strip().lower(), Severity.UNKNOWN)
