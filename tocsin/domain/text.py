"""Text that strangers wrote, made fit to be shown."""


def one_line(text: str, *, limit: int = 200) -> str:
    """Make stranger's text harmless in a line: no control or direction marks, shortened."""
    clean = "".join(c if c.isprintable() else " " for c in text[: limit * 2])
    return " ".join(clean.split())[:limit]
