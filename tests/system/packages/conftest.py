"""Heads without the agent, on which its packages are installed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.support.heads import Head, Heads, Host

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def bare() -> Iterator[Heads]:
    """The run of heads on which nothing is installed but what the package depends on."""
    with Heads(installed=False) as run:
        yield run


@pytest.fixture(scope="session")
def client(bare: Heads) -> Host:
    """Another machine on their network."""
    return bare.host("client")


@pytest.fixture
def boot(bare: Heads) -> Iterator[Callable[[], Head]]:
    """Boots heads that are this test's alone."""
    made: list[Head] = []

    def boot() -> Head:
        made.append(bare.boot(f"bare{next(_NUMBERS)}"))
        return made[-1]

    yield boot
    bare.shut_down_all(made)
