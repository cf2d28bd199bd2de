"""Which installation a command means that asks its servers directly."""

from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from console.embedded import endpoints
from console.embedded.endpoints import Endpoints
from console.embedded.processes import Listener
from tocsin.settings import DEFAULT_FILE, load_settings, settings_file


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """Where its settings are.

    Attributes:
        file: Its `tocsin.yaml`; None when there are variables and defaults only.
        receiver: Where its receiver is, if not where the file says: a running stack may have been
            asked for another address.
    """

    file: Path | None
    receiver: Listener | None = None


def find(config: Path | None, data_dir: Path | None) -> Installation:
    """Find the file that is named, else the running stack's, else `./tocsin.yaml`.

    Args:
        config: A file named by flag.
        data_dir: Data directory of a running stack, named by flag.

    Raises:
        ConfigError: Settings are wrong.
    """
    named = settings_file(config)
    if named in {None, DEFAULT_FILE} or data_dir:
        folder = load_settings(flags={"data_dir": data_dir}).data_dir
        if running := endpoints.read(folder):
            return Installation(file=Path(running.configuration), receiver=_receiver(running))
    return Installation(file=named)


def _receiver(running: Endpoints) -> Listener | None:
    if not running.receiver:
        return None
    certificate = running.receiver_certificate
    return Listener(
        listen=urlsplit(running.receiver).netloc,
        tls_cert=Path(certificate) if certificate else None,
    )
