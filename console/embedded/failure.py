"""Why the stack could not start, or did not go on."""

from tocsin.errors import TocsinError


class StackFailed(TocsinError):
    """The embedded stack ended; the message says which part of it, and what can be done."""
