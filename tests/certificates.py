"""Certificates that nobody signed but themselves."""

import subprocess
from pathlib import Path


def make_certificate(folder: Path, names: str) -> tuple[Path, Path]:
    """Make a certificate and its key.

    Args:
        folder: Where to.
        names: Whom it is for, as `subjectAltName`: `IP:127.0.0.1`, `DNS:tocsin.example`.
    """
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        (
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=tocsin"),
            *("-addext", f"subjectAltName={names}"),
            *("-keyout", str(key), "-out", str(cert)),
        ),
        check=True,
        capture_output=True,
    )
    return cert, key
