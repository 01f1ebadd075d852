"""The parameters of a query that are more than switches: what each may be, read and described in one place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from agent.errors import Invalid

T_co = TypeVar("T_co", covariant=True)


class Parameter(Protocol[T_co]):
    """One parameter that a route knows."""

    @property
    def name(self) -> str:
        """Its name in the query."""
        ...

    def read(self, given: Sequence[str]) -> T_co:
        """Its value, out of all that were given under that name; raises Invalid."""
        ...

    def schema(self) -> dict[str, Any]:
        """Its JSON schema."""
        ...


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some words; the first when there is none."""

    name: str
    words: tuple[str, ...]

    def read(self, given: Sequence[str]) -> str:
        """The word."""
        word = _single(self.name, given)
        if word is None:
            return self.words[0]
        if word not in self.words:
            raise Invalid(f"?{self.name}={word[:20]} is not known: it is one of {', '.join(self.words)}")
        return word

    def schema(self) -> dict[str, Any]:
        """The words."""
        return {"type": "string", "enum": list(self.words), "default": self.words[0]}


@dataclass(frozen=True, slots=True)
class Number:
    """A number from 1 to `most`; None when there is none."""

    name: str
    most: int

    def read(self, given: Sequence[str]) -> int | None:
        """The number."""
        text = _single(self.name, given)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= self.most):
            raise Invalid(f"?{self.name}={text[:20]} must be a number from 1 to {self.most}")
        return int(text)

    def schema(self) -> dict[str, Any]:
        """Its bounds."""
        return {"type": "integer", "minimum": 1, "maximum": self.most}


@dataclass(frozen=True, slots=True)
class Text:
    """Any text; empty when there is none."""

    name: str

    def read(self, given: Sequence[str]) -> str:
        """The text."""
        return _single(self.name, given) or ""

    def schema(self) -> dict[str, Any]:
        """Any."""
        return {"type": "string", "default": ""}


def _single(name: str, given: Sequence[str]) -> str | None:
    if len(given) > 1:
        raise Invalid(f"?{name} is there {len(given)} times, so it is not clear what is wanted")
    return given[0] if given else None
