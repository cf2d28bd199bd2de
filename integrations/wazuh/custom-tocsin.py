# ruff: noqa: INP001 - it lies in a folder of the Wazuh manager, in no package
"""Sends one Wazuh alert to tocsin, byte for byte.

wazuh-integratord starts it for each alert and waits for it:

    custom-tocsin ALERT_FILE API_KEY HOOK_URL [DEBUG] [OPTIONS_FILE]

It needs nothing but the Python that comes with Wazuh 4 (3.9 or later). The whole run takes at most
9 seconds, because integratord sends nothing else meanwhile. It exits with 0 when the receiver has
taken the alert, with 1 when it has not, with 2 when it was called wrongly; what went wrong stands
in `logs/integrations.log`, without key and URL.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
import sys
import time
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

DEADLINE_SECONDS = 9.0
PAUSES_SECONDS = (0.3, 0.6)
TRY_AGAIN = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
)
LOG = Path(__file__).resolve().parent.parent / "logs" / "integrations.log"


class Refused(Exception):
    """The receiver's answer is no yes."""


def main(arguments: list[str]) -> int:
    """Send the alert that integratord names; returns the exit status."""
    try:
        path, key, url, _, options, *_ = [*arguments, "", ""]
    except ValueError:
        sys.stderr.write("usage: custom-tocsin ALERT_FILE API_KEY HOOK_URL\n")
        return 2
    try:
        deliver(Path(path).read_bytes(), url, key, trusted(options))
    except (OSError, Refused) as error:
        log(f"{type(error).__name__}: {error}")
    except (ValueError, http.client.HTTPException) as error:
        # Their messages quote the key or the URL.
        log(type(error).__name__)
    else:
        return 0
    return 1


def deliver(alert: bytes, url: str, key: str, context: ssl.SSLContext) -> None:
    """Post until it is taken, refused, or too late; three attempts at most."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    for pause in (*PAUSES_SECONDS, DEADLINE_SECONDS):
        problem: Exception
        try:
            status = post(alert, url, key, context, deadline - time.monotonic())
        except ssl.SSLCertVerificationError:
            raise
        except (OSError, http.client.HTTPException) as error:
            problem = error
        else:
            if status // 100 == HTTPStatus.OK // 100:
                return
            problem = Refused(f"the receiver answered {status}")
            if status not in TRY_AGAIN:
                raise problem
        if time.monotonic() + pause >= deadline:
            raise problem
        time.sleep(pause)


def post(alert: bytes, url: str, key: str, context: ssl.SSLContext, seconds: float) -> int:
    """Post once and return the status of the answer; a redirect is an answer like any other."""
    target = urlsplit(url)
    host = target.hostname or ""
    connection: http.client.HTTPConnection
    if target.scheme == "https":
        connection = http.client.HTTPSConnection(
            host, target.port, timeout=seconds, context=context
        )
    elif target.scheme == "http":
        connection = http.client.HTTPConnection(host, target.port, timeout=seconds)
    else:
        raise Refused("hook_url must begin with http:// or https://")
    headers = {"Content-Type": "application/json", "User-Agent": "custom-tocsin"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    path = (target.path or "/") + (f"?{target.query}" if target.query else "")
    try:
        connection.request("POST", path, body=alert, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def trusted(options_file: str) -> ssl.SSLContext:
    """Whom to trust: `ca_file` of the integration's options, or whom the system trusts.

    Wazuh's Python may have been built without knowing where the system keeps its authorities.
    """
    path = Path(options_file)
    options = json.loads(path.read_bytes() or b"{}") if options_file and path.exists() else {}
    authority = options.get("ca_file") if isinstance(options, dict) else None
    context = ssl.create_default_context(cafile=authority)
    bundles = [bundle for bundle in SYSTEM_BUNDLES if Path(bundle).exists()]
    if bundles and not context.cert_store_stats()["x509_ca"]:
        context.load_verify_locations(bundles[0])
    return context


def log(message: str) -> None:
    """Say what went wrong where a Wazuh administrator looks for it."""
    sys.stderr.write(f"custom-tocsin: {message}\n")
    with contextlib.suppress(OSError), LOG.open("a", encoding="utf-8") as file:
        file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} custom-tocsin: {message}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
