"""CEL expressions, compiled once: https://cel.dev, a language that converts no types by itself."""

import re
from collections.abc import Mapping
from typing import Any, Self

import cel

LONGEST = 4096

_STRINGS = re.compile(
    r"""r?("{3}.*?"{3}|'{3}.*?'{3}|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')""", re.DOTALL
)
_ALERT_FIELDS = re.compile(r"(?<![\w.])alert(?:\s*\.\s*(\w+))?")
_POSITION = re.compile(r"ERROR: <input>:(\d+):(\d+): (?:Syntax error: )?([^\n]*)")
_FAULTS = (ValueError, RuntimeError, LookupError, ArithmeticError)


class PolicyError(ValueError):
    """An expression that cannot be used.

    Attributes:
        line: Line within the expression, from 1.
        column: Character within that line, from 1; 0 when the whole expression is meant.
    """

    def __init__(self, message: str, *, line: int = 1, column: int = 0) -> None:
        self.line = line
        self.column = column
        super().__init__(message)


class EvaluationError(ValueError):
    """A sound expression met an alert it cannot judge, for example one that lacks a field."""


class TypesDoNotFit(EvaluationError):
    """An operation has no meaning for the types it met, for example `"10" < 5`."""


class Expression:
    """One compiled CEL expression.

    Attributes:
        text: As written.
        names: Variables it mentions, those of its own macros included.
        functions: Functions it calls, operators left out.
        alert_fields: Fields of `alert` it mentions; None when it takes the alert as a whole.
    """

    def __init__(self, text: str, program: cel.Program) -> None:
        self.text = text
        self.names = frozenset(program.variables())
        self.functions = frozenset(filter(str.isidentifier, program.functions()))
        fields = _ALERT_FIELDS.findall(without_strings(text))
        self.alert_fields = None if "" in fields else frozenset(fields)
        self._program = program

    @classmethod
    def compile(cls, text: str) -> Self:
        """Compile an expression.

        Raises:
            PolicyError: It is no CEL, or longer than 4096 characters.
        """
        if len(text) > LONGEST:
            raise PolicyError(f"an expression may have at most {LONGEST} characters")
        try:
            return cls(text, cel.compile(text))
        except ValueError as error:
            raise _located(str(error)) from None

    def evaluate(self, context: Mapping[str, Any] | cel.Context) -> Any:  # noqa: ANN401 - CEL value
        """Compute the expression's value.

        Args:
            context: Value of each variable.

        Raises:
            EvaluationError: A field is missing, or a function refused.
            TypesDoNotFit: An operation has no meaning for the types it met.
        """
        try:
            return self._program.execute(
                context if isinstance(context, cel.Context) else dict(context)
            )
        except KeyError as error:
            raise EvaluationError(f"there is no {error} here; ask with has() first") from None
        except TypeError as error:
            raise TypesDoNotFit(_first_line(error)) from None
        except _FAULTS as error:
            raise EvaluationError(_first_line(error)) from None

    def matches(self, context: Mapping[str, Any] | cel.Context) -> bool:
        """Compute a condition.

        Args:
            context: Value of each variable.

        Raises:
            EvaluationError: As `evaluate`, or the value is neither true nor false.
        """
        value = self.evaluate(context)
        if not isinstance(value, bool):
            raise EvaluationError(f"it gives {type(value).__name__}, neither true nor false")
        return value


def without_strings(text: str) -> str:
    """The text of an expression with what stands in quotes taken out."""
    return _STRINGS.sub('""', text)


def _located(message: str) -> PolicyError:
    found = _POSITION.search(message)
    if found is None:
        return PolicyError(_first_line(message))
    line, column, what = found.groups()
    what = what.partition(" expecting {")[0].replace(
        "mismatched input '<EOF>'", "it ends too early"
    )
    return PolicyError(what, line=int(line), column=int(column))


def _first_line(text: object) -> str:
    return str(text).partition("\n")[0][:200]
