"""Several heads: whatever is done where, and whoever comes or goes meanwhile, no file that any head needs is lost."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from typing_extensions import override

from agent.errors import AgentError
from agent.files.everywhere import Company, EveryHead
from agent.model import Kind
from agent.ports import Put
from agent.records.turns import LOCK
from tests.support.answering_references import answering
from tests.support.cut_files import Cut, CutStore
from tests.support.files import SELF, FilesRoom, SetReferences, present
from tests.support.memory_store import MemoryStore
from tests.support.peers import Asked, MemoryPeers, Responder
from tests.support.skipping import SkippingLoop

T = TypeVar("T")

B, C = "b" * 32, "c" * 32
FILES = ["a", "d/a", "x.part"]
NAMES = st.sampled_from(FILES)
HEADS = st.sampled_from([SELF, B, C])
SPELLINGS: tuple[Callable[[str], str], ...] = (str, "./{}".format, "/{}".format)

Act = Callable[["Together"], None]
"""Something that happens, also in the middle of something else."""

REFERRED: st.SearchStrategy[Act] = st.builds(
    lambda uid, name, spelling: lambda world: world.refer(uid, name, spelling),
    HEADS,
    NAMES,
    st.sampled_from(SPELLINGS),
)
MOVES: list[Callable[[Together, str], None]] = [
    lambda world, uid: world.go(uid),
    lambda world, uid: world.come(uid),
    lambda world, uid: world.come(uid),
    lambda world, uid: world.evict(uid),
    lambda world, uid: world.join(uid),
]
MOVED: st.SearchStrategy[Act] = st.builds(
    lambda what, uid: lambda world: what(world, uid), st.sampled_from(MOVES), st.sampled_from([B, C])
)
MEANWHILE = st.lists(st.one_of(st.none(), st.none(), REFERRED, REFERRED, MOVED), max_size=12)


class Meanwhile(SetReferences):
    """References that are changed while they are read."""

    between: Callable[[], None] = staticmethod(lambda: None)

    @override
    def references(self) -> Any:
        self.between()
        return super().references()


class Together(RuleBasedStateMachine):
    """Head A's files on a real directory; three heads' objects, each head's own or, with a shared store, everybody's.

    In a shared store a head that is away means that the quorum is, and what the others write is seen here only later.
    """

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="together-", dir="/dev/shm"))
        self.runner = asyncio.Runner(loop_factory=SkippingLoop)  # else it waits a minute in all to give locks back
        self.contents: dict[bytes, str] = {}
        self.uploads = 0
        self.acts: list[Act | None] = []
        self.spelled: dict[tuple[str, str], str] = {}
        """What each head's object refers to a file by."""

    @initialize(shared=st.booleans())
    def start(self, shared: bool) -> None:  # noqa: FBT001  Hypothesis passes it by name
        self.shared = shared
        self.store = CutStore(self.root)
        self.references = {SELF: Meanwhile(), B: SetReferences(), C: SetReferences()}
        self.references[SELF].names = {"always"}
        self.references[SELF].between = self._between  # type: ignore[attr-defined]
        self.members = {B, C}
        self.peers = MemoryPeers({uid: self._interrupted(answering(self.references[uid])) for uid in (B, C)})
        self.records = MemoryStore(kind="etcd" if shared else "sqlite")
        everywhere = EveryHead(self.references[SELF], self.peers, self._company)
        self.room = FilesRoom(self.store, self.references[SELF], everywhere=everywhere, records=self.records)
        self.room.set(root=self.root)
        self.runner.run(self.store.prepare())
        self.upload(set(FILES))

    @rule(names=st.sets(NAMES))
    def upload(self, names: set[str]) -> None:
        """Write new files beside, and rename them to their places."""
        for name in names or FILES:
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

    @rule(act=st.one_of(REFERRED, MOVED))
    def happen(self, act: Act) -> None:
        """Something happens."""
        act(self)

    @rule(uid=st.sampled_from([SELF, B, C]))
    def forget(self, uid: str) -> None:
        """No object of that head refers to anything any more."""
        self.spelled = {key: spelling for key, spelling in self.spelled.items() if key[0] != uid}
        self._publish()

    @rule(acts=st.lists(st.none() | MOVED, max_size=8))
    def look(self, acts: list[Act | None]) -> None:
        """What is listed was not referred to by any member when the look began, unless it is no member any more."""
        before = self._needed()
        survey = self._run(self.room.collector.unused(), acts)
        listed = {item.row.filename for item in survey.unused} if survey else set()
        if not (self.shared and self._away()):  # then the answer is marked as stale
            assert not listed & before & self._needed()

    @rule(acts=MEANWHILE, steps=st.none() | st.integers(0, 4))
    def remove(self, acts: list[Act | None], steps: int | None) -> None:
        """A removal, perhaps cut off: what was needed when it began, and is still, stays."""
        self._remove(acts, steps)

    @rule(acts=MEANWHILE)
    def remove_to_the_end(self, acts: list[Act | None]) -> None:
        """A removal that is not cut off: what is needed by the time of its last question is in its place too."""
        self._remove(acts, None)

    @rule(names=st.lists(NAMES, min_size=1, max_size=2, unique=True))
    def steal(self, names: list[str]) -> None:
        """Another head holds the lock, and then is down; and files are brought back."""
        if self.shared and self.records.age is None:
            self.room.gone.clear()
            theirs = {"work": "remove", "holder": B, "run": "1", "since": ""}
            self.runner.run(self.records.commit(Put(Kind.LOCK, LOCK, theirs)))
            assert self._run(self.room.collector.remove(force=True), []) is None
            self.room.gone.add(B)
        self._run(self.room.collector.trash.restore(names), [])

    @invariant()
    def nothing_is_lost(self) -> None:
        """Every content is once in its place or in the trash; with all heads there, what is needed is in its place."""
        self.store.steps = None
        self._run(self.room.collector.trash.tidy(), [])
        found: dict[bytes, str] = {}
        for name in present(self.root):
            found[(self.root / name).read_bytes()] = name
        for slot in (entry for entry in (self.root / ".trash").iterdir() if entry.is_dir()):
            for entry in slot.iterdir():
                content = entry.read_bytes()
                assert content not in found
                found[content] = entry.name.replace("%2F", "/")
        assert found == self.contents
        if not self._away():
            assert self._needed() <= present(self.root)

    @override
    def teardown(self) -> None:
        self.store.close()
        self.runner.close()
        shutil.rmtree(self.root)

    def refer(self, uid: str, name: str, spelling: Callable[[str], str]) -> None:
        """An object of a head refers to a file that was uploaded, be it in its place or in the trash."""
        if name in self.contents.values():
            self.spelled[uid, name] = spelling(name)
            self._publish()

    def go(self, uid: str) -> None:
        """A head goes away, or with a shared store the quorum."""
        self.peers.away[uid] = "powered off"
        self.records.age = 1.0

    def come(self, uid: str) -> None:
        """It comes back."""
        self.peers.away.pop(uid, None)
        self.records.age = None
        self._publish()

    def evict(self, uid: str) -> None:
        """A head is removed: what its own objects refer to does not count any more."""
        self.members.discard(uid)

    def join(self, uid: str) -> None:
        """It joins again, with its objects."""
        self.members.add(uid)

    def _remove(self, acts: list[Act | None], steps: int | None) -> None:
        present_before, away = present(self.root), self._away()
        needed = self._needed() & present_before
        self.store.steps = steps
        done = self._run(self.room.collector.remove(force=True), acts)
        assert needed & self._needed() <= present(self.root)
        if away and not acts:
            assert done is None
            assert present(self.root) == present_before

    def _needed(self) -> set[str]:
        """The files that a member's object refers to; in a shared store every object is everybody's."""
        return {name for uid, name in self.spelled if self.shared or uid in self.members or uid == SELF}

    def _away(self) -> bool:
        return self.records.age is not None if self.shared else bool(self.members & self.peers.away.keys())

    def _publish(self) -> None:
        """Have the references be what the objects say, as far as they can be seen."""
        for uid, references in self.references.items():
            seen = self.spelled.items() if self.shared else [i for i in self.spelled.items() if i[0][0] == uid]
            if not (self.shared and self.records.age is not None):
                references.names = {"always", *(spelling for _, spelling in seen)}

    def _company(self) -> Company:
        return Company(self.shared, dict.fromkeys(sorted(self.members)))

    def _between(self) -> None:
        """The next thing that happens in the middle of something else."""
        if self.acts and (act := self.acts.pop(0)) is not None:
            act(self)

    def _interrupted(self, respond: Responder) -> Responder:
        async def answer(asked: Asked) -> Any:
            self._between()
            return await respond(asked)

        return answer

    def _run(self, work: Coroutine[Any, Any, T], acts: list[Act | None]) -> T | None:
        """Do it to its end, or until it is cut off or refused, while that happens."""
        self.acts = list(acts)
        try:
            return self.runner.run(work)
        except (Cut, AgentError):
            return None
        finally:
            self.acts = []


TestTogether = Together.TestCase
TestTogether.settings = settings(max_examples=100, stateful_step_count=25)
