"""How commands print for machines."""

import json

import typer


def print_json(value: object) -> None:
    """Print one line of JSON, all of it ASCII: strangers wrote much of it, and terminals obey.

    Args:
        value: What JSON can hold, or structs of it.
    """
    import msgspec

    typer.echo(json.dumps(msgspec.to_builtins(value)))
