"""Whatever is done in whatever order, and cut off anywhere: a referenced file is not lost, a removed one comes back."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from typing_extensions import override

from agent.errors import AgentError
from tests.support.cut_files import Cut, CutStore
from tests.support.files import FilesRoom, SetReferences, present

T = TypeVar("T")

NAMES = st.sampled_from(["a", "b", "b!", "d/a", "d/b", "d/e/f", "x.part", "y.old.01", "%2F"])
SPELLINGS: tuple[Callable[[str], str], ...] = (str, "./{}".format, "/{}".format, "d/../{}".format)


class CutReferences(SetReferences):
    """Objects that are changed while somebody reads them: `meanwhile` is done before each reading."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: list[Callable[[], None]] = []

    @override
    def references(self) -> Any:
        if self.meanwhile:
            self.meanwhile.pop()()
        return super().references()


class FileLives(RuleBasedStateMachine):
    """Uploads, references, removals, restores and cuts on a real directory; `contents` is all that there should be."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="lives-", dir="/dev/shm"))
        self.runner = asyncio.Runner()
        self.contents: dict[bytes, str] = {}
        self.spelled: dict[str, str] = {}
        self.uploads = 0

    @initialize()
    def start(self) -> None:
        self.store = CutStore(self.root)
        self.references = CutReferences()
        self.references.names = {"always"}
        self.room = FilesRoom(self.store, self.references)
        self.room.set(root=self.root)
        self.runner.run(self.store.prepare())

    @rule(name=NAMES)
    def upload(self, name: str) -> None:
        """Write a new file beside, and rename it to its place: what was there before is replaced."""
        place = self.root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists():
            self.contents.pop(place.read_bytes())
        self.uploads += 1
        content = f"{name} {self.uploads}".encode()
        beside = place.with_name(".upload")
        beside.write_bytes(content)
        beside.rename(place)
        self.contents[content] = name

    @rule(name=NAMES, spelling=st.sampled_from(SPELLINGS))
    def refer(self, name: str, spelling: Callable[[str], str]) -> None:
        """An object refers to a file that was uploaded, be it in its place or in the trash."""
        if name in self.contents.values():
            self._refer(name, spelling)
            self._recover()

    @rule(name=NAMES)
    def forget(self, name: str) -> None:
        """No object refers to it any more."""
        self.references.names.discard(self.spelled.pop(name, ""))

    @rule()
    def look(self) -> None:
        """What is listed is in its place, and not referred to."""
        unused = self._run(self.room.unused())
        assert set(unused or ()) <= present(self.root) - self.spelled.keys()

    @rule(
        steps=st.none() | st.integers(0, 8),
        late=st.lists(st.tuples(NAMES, st.sampled_from(SPELLINGS)), max_size=4),
        held=st.none() | NAMES,
    )
    def remove(self, steps: int | None, late: list[tuple[str, Callable[[str], str]]], held: str | None) -> None:
        """A removal, perhaps cut off, while objects are changed and somebody reads a file."""
        uploaded = set(self.contents.values())
        self.references.meanwhile = [
            lambda name=name, spelling=spelling: self._refer(name, spelling)  # type: ignore[misc]
            for name, spelling in late
            if name in uploaded
        ]
        self.store.steps = steps
        holder = os.open(self.root / held, os.O_RDONLY) if held in present(self.root) else None
        try:
            self._run(self.room.collector.remove(force=True))
        finally:
            if holder is not None:
                assert held in present(self.root)
                os.close(holder)
        self._recover()

    @rule(names=st.lists(NAMES, min_size=1, max_size=3, unique=True), steps=st.none() | st.integers(0, 2))
    def restore(self, names: list[str], steps: int | None) -> None:
        """Bring files back; where something is in a place, nothing is done at all."""
        self.store.steps = steps
        before = present(self.root)
        done = self._run(self.room.collector.trash.restore(names))
        assert before <= present(self.root)
        if done is not None:
            assert set(names) <= present(self.root)
        self._recover()

    @rule()
    def remove_folders(self) -> None:
        """Somebody tidies up empty directories."""
        for folder in ("d/e", "d"):
            with suppress(OSError):
                (self.root / folder).rmdir()

    @invariant()
    def nothing_is_lost(self) -> None:
        """Every content is once in its place or in the trash; every file that is referred to is in its place."""
        found: dict[bytes, str] = {}
        for name in present(self.root):
            found[(self.root / name).read_bytes()] = name
        slots = [slot for slot in (self.root / ".trash").iterdir() if slot.is_dir()]
        for entry in (entry for slot in slots for entry in slot.iterdir()):
            content = entry.read_bytes()
            assert content not in found
            found[content] = entry.name.replace("%2F", "/").replace("%25", "%")
        assert found == self.contents
        assert self.spelled.keys() <= present(self.root)

    @override
    def teardown(self) -> None:
        self.store.close()
        self.runner.close()
        shutil.rmtree(self.root)

    def _refer(self, name: str, spelling: Callable[[str], str]) -> None:
        self.references.names.discard(self.spelled.pop(name, ""))
        self.spelled[name] = spelling(name)
        self.references.names.add(self.spelled[name])

    def _recover(self) -> None:
        """What the agent's next look at the trash does, also after it was started again."""
        self.store.steps = None
        self.references.meanwhile = []
        self.runner.run(self.room.collector.trash.tidy())

    def _run(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Do it to its end, or until it is cut off or refused."""
        try:
            return self.runner.run(work)
        except (Cut, AgentError):
            return None


TestFileLives = FileLives.TestCase
TestFileLives.settings = settings(max_examples=60, stateful_step_count=30)
pytestmark = pytest.mark.timeout(180)
