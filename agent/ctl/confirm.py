"""Asking a person again before something that cannot be taken back."""

from __future__ import annotations

import sys

from agent.ctl.client import Exit, Failure


def confirm(what: str, word: str) -> None:
    """Have a person at the terminal read what is about to happen and type `word`; raises Failure otherwise."""
    if not sys.stdin.isatty():
        raise Failure(f"cannot {word}: nobody is there to ask; say --yes if it is meant", Exit.USAGE)
    print(what)
    if input(f"Type {word} to go on: ").strip() != word:
        raise Failure("nothing was changed")
