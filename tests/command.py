"""The command `tocsin` as a shell runs it: a process of its own."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """How a command ended.

    Attributes:
        code: Its exit code.
        output: Standard output.
        errors: Standard error.
    """

    code: int
    output: str
    errors: str

    @property
    def lines(self) -> list[Any]:
        """Standard output as JSON Lines."""
        return [json.loads(line) for line in self.output.splitlines()]


async def tocsin(*arguments: str, folder: Path | None = None, **environment: str) -> Ran:
    """Run the command.

    Args:
        *arguments: What follows `tocsin`.
        folder: Where it stands.
        **environment: Its variables that begin with `TOCSIN_`, and others on top of ours.
    """
    inherited = {name: value for name, value in os.environ.items() if "TOCSIN" not in name}
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-P", "-m", "console.main", *arguments],
        cwd=folder,
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return Ran(code=done.returncode, output=done.stdout, errors=done.stderr)
