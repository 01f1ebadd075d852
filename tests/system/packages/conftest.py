"""Heads without the agent, and its packages to install there: this version's, the one before it, a made-up next one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import packages
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
    for head in made:
        head.crash()  # nothing of theirs is measured: no agent need be waited for
    bare.shut_down_all(made)


@pytest.fixture(scope="session")
def current() -> Path:
    """The package of this checkout."""
    return packages.current()


@pytest.fixture(scope="session")
def previous() -> Path:
    """The package of the version before."""
    return packages.previous()


@pytest.fixture(scope="session")
def following() -> Path:
    """The package of a version to come: its database has one more migration, its heartbeat the next protocol."""
    return packages.following()
