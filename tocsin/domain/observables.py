"""Typed observables from a sender's loose strings: each kind has one way to be cleaned."""

from collections.abc import Callable, Iterator
from ipaddress import IPv6Address, ip_address

from tocsin.domain.alert import Observable, ObservableType

LONGEST = 1024
"""Longest observable kept, in characters; a longer one is no observable."""

_NOTHING = frozenset({"", "-", "null", "(null)", "none", "(none)", "n/a", "any", "unknown", "?"})
_HASH_LENGTHS = frozenset({32, 40, 64, 96, 128})
_HEXADECIMAL = frozenset("0123456789abcdefABCDEF")
_HOST_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._")
_LONGEST_HOST = 253
_LONGEST_ADDRESS = 64


def observe(kind: ObservableType, name: str, text: str) -> Iterator[Observable]:
    """Yield the observables in one string.

    Args:
        kind: What the field is meant to hold; a host name in an address field comes out as a
            host name, and an address in a host field as an address.
        name: Where the string stood in the sender's document.
        text: The string: one value, or several separated by commas in fields that hold lists.
    """
    if len(text) > LONGEST or text.strip().lower() in _NOTHING:
        return
    for observed, value in _CLEANERS[kind](text.strip().replace("\0", "\ufffd")):
        yield Observable(name=name, type=observed, value=value)


def address(text: str) -> str:
    """The IP address in a string, without brackets, port or zone; empty when there is none."""
    if not text or len(text) > _LONGEST_ADDRESS:
        return ""
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        found = ip_address(host.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(found, IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return str(found)


_Found = Iterator[tuple[ObservableType, str]]


def _hosts(text: str) -> _Found:
    for part in text.split(","):
        host = part.strip()
        if found := address(host):
            yield ObservableType.IP_ADDRESS, found
            continue
        name, _, port = host.partition(":")
        host = name if port.isdecimal() else host
        if 0 < len(host) <= _LONGEST_HOST and _HOST_CHARACTERS.issuperset(host):
            yield ObservableType.HOSTNAME, host.rstrip(".").lower()


def _users(text: str) -> _Found:
    user = text.partition("(uid=")[0]
    if user.lower() in _NOTHING:
        return
    local, at, domain = user.partition("@")
    email = at and local and "." in domain and " " not in user
    yield ObservableType.EMAIL_ADDRESS if email else ObservableType.USER_NAME, user


def _hashes(text: str) -> _Found:
    for part in text.split(","):
        digest = part.rpartition("=")[2].strip()
        if len(digest) in _HASH_LENGTHS and _HEXADECIMAL.issuperset(digest):
            yield ObservableType.HASH, digest.lower()


def _as_it_is(kind: ObservableType) -> Callable[[str], _Found]:
    def clean(text: str) -> _Found:
        yield kind, text

    return clean


_CLEANERS: dict[ObservableType, Callable[[str], _Found]] = {
    **{kind: _as_it_is(kind) for kind in ObservableType},
    ObservableType.IP_ADDRESS: _hosts,
    ObservableType.HOSTNAME: _hosts,
    ObservableType.USER_NAME: _users,
    ObservableType.EMAIL_ADDRESS: _users,
    ObservableType.HASH: _hashes,
}
