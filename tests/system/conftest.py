"""Heads for the tests: one that they share and leave as they found it, and fresh ones for what cannot be undone."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.heads import Head, Heads, Host
from tests.system.demo.throwaway import furnish

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def heads() -> Iterator[Heads]:
    """The run that all heads of the session belong to; HEADS_COVERAGE names a directory for their coverage data."""
    coverage = os.environ.get("HEADS_COVERAGE")
    with Heads(coverage=Path(coverage) if coverage else None) as run:
        yield run


@pytest.fixture(scope="session")
def head(heads: Heads) -> Iterator[Head]:
    """The shared head: the demo's services run, and the agent."""
    shared = heads.boot("shared")
    furnish(shared)
    shared.start_agent()
    yield shared
    heads.shut_down(shared)


@pytest.fixture(scope="session")
def elsewhere(heads: Heads) -> Host:
    """Another machine on the network."""
    return heads.host("elsewhere")


@pytest.fixture
def fresh(heads: Heads) -> Iterator[Callable[..., Head]]:
    """Boots heads that are this test's alone; the agent is installed, not started."""
    made: list[Head] = []

    def boot(store_size: str = "256M", state_size: str = "64M") -> Head:
        made.append(heads.boot(f"fresh{next(_NUMBERS)}", store_size=store_size, state_size=state_size))
        return made[-1]

    yield boot
    for one in made:
        heads.shut_down(one)
