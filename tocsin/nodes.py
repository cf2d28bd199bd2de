"""The nodes of a YAML text, each with its place: what is read before anything is made of it."""

from typing import Final

import yaml

DEEPEST: Final = 20


def compose(text: str) -> yaml.Node | None:
    """Take a text apart; None when there is nothing in it.

    Raises:
        yaml.YAMLError: It is no YAML, is nested too deep, or holds what stands for nothing.
    """
    return yaml.compose(text, Loader=_Loader)


class _Loader(yaml.SafeLoader):
    """Stops at what no node can be made of, with its place."""

    _depth = 0

    def fetch_more_tokens(self) -> None:
        """Read on; escapes may name what is no character, and a version may be no number."""
        try:
            super().fetch_more_tokens()
            token = self.tokens[-1]
            if isinstance(token, yaml.ScalarToken):
                token.value.encode()
        except (ValueError, OverflowError) as error:
            raise yaml.MarkedYAMLError(
                problem="it holds an escape or a version that stands for nothing",
                problem_mark=self.get_mark(),
                note="write the character itself",
            ) from error

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Read a node and all that is in it."""
        if parent and self._depth > DEEPEST:
            problem = f"it is nested deeper than {DEEPEST} levels"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=parent.start_mark)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1
