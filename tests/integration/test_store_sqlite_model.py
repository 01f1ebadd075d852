"""Whatever is done to them, in whatever order, the embedded engine and the fake in memory answer alike."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from typing_extensions import override

from agent.adapters.sqlite.store import SqliteStore
from agent.errors import AgentError
from agent.model import OBJECT_KINDS, Kind
from agent.ports import ABSENT, Change, Delete, Put, Store
from tests.support.memory_store import MemoryStore

UIDS = [letter * 32 for letter in "abc"]
FILES = ["a", "a/b", "a.b", "a/b/c", "b", "ä", "a b"]

kinds = st.sampled_from(OBJECT_KINDS)
uids = st.sampled_from(UIDS)
expectations = st.one_of(st.none(), st.just(ABSENT), st.just("present"), st.integers(1, 5))
bodies = st.dictionaries(st.text(max_size=3), st.one_of(st.none(), st.integers(-9, 9), st.text(max_size=5)), max_size=3)
puts = st.tuples(
    st.just("put"),
    kinds,
    uids,
    expectations,
    bodies,
    st.one_of(st.none(), st.sampled_from(["n", "m"])),
    st.lists(st.sampled_from(FILES), max_size=4),
)
deletes = st.tuples(st.just("delete"), kinds, uids, expectations)


class BothStores(RuleBasedStateMachine):
    """Does everything to both, and compares."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name) / "agent.db"
        self.memory = MemoryStore()
        self._open()

    def _open(self) -> None:
        self.opened = SqliteStore.open(self.path)
        self.sqlite = self.runner.run(self.opened.__aenter__())

    def _close(self) -> None:
        self.runner.run(self.opened.__aexit__(None, None, None))

    @rule(drawn=st.lists(st.one_of(puts, deletes), max_size=3))
    def commit(self, drawn: list[tuple[Any, ...]]) -> None:
        changes = [self._change(*parts) for parts in drawn]
        assert self._outcome(self.sqlite, changes) == self._outcome(self.memory, changes)

    @rule()
    def close_and_open(self) -> None:
        self._close()
        self._open()

    @rule()
    def back_up_and_restore(self) -> None:
        for store in (self.sqlite, self.memory):
            backup = self.path.with_name("backup")
            self.runner.run(store.backup(backup))
            self.runner.run(store.restore(backup))
            backup.unlink()
        self.memory.revision = self.runner.run(self.sqlite.commit())

    @invariant()
    def same_records(self) -> None:
        for kind in OBJECT_KINDS:
            assert self.runner.run(self.sqlite.records(kind)) == self.runner.run(self.memory.records(kind))
            for name in ("n", "m"):
                found = self.runner.run(self.sqlite.find(kind, name))
                assert found == self.runner.run(self.memory.find(kind, name))

    @invariant()
    def same_references(self) -> None:
        for after in ("", "a", "a/b", "zzz"):
            for limit in (1, 3, 100):
                read = self.runner.run(self.sqlite.references(after, limit))
                assert read == self.runner.run(self.memory.references(after, limit))

    @override
    def teardown(self) -> None:
        self._close()
        self.directory.cleanup()
        self.runner.close()

    def _change(self, verb: str, kind: Kind, uid: str, expect: Any, *content: Any) -> Change:
        if expect == "present":
            record = self.runner.run(self.memory.get(kind, uid))
            expect = record.revision if record else None
        if verb == "delete":
            return Delete(kind, uid, expect or None)
        body, name, references = content
        return Put(kind, uid, body, name, expect, references)

    def _outcome(self, store: Store, changes: list[Change]) -> int | tuple[type[AgentError], str]:
        try:
            return self.runner.run(store.commit(*changes))
        except AgentError as err:
            return type(err), err.code


TestBothStores = pytest.mark.timeout(300)(BothStores.TestCase)
TestBothStores.settings = settings(
    max_examples=25,
    stateful_step_count=15,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.target],  # shrinking takes minutes
)
