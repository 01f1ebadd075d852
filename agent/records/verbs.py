"""List, get, create, replace, patch and delete records of one kind, so that no racing write is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import uuid4

from agent.errors import Conflict, NotFound, Stale
from agent.model import Record
from agent.ports import ABSENT, Delete, Put, Store
from agent.records.references import references_of
from agent.records.spec import Body, Spec, is_uid

T = TypeVar("T")

Noted = Callable[[Record, Record], None]
"""Is told of each change of a record, before and after, once it is committed."""

_ATTEMPTS = 50
"""Each failed attempt means that somebody else's write succeeded, so this many in a row are a storm."""


async def until_settled(attempt: Callable[[], Awaitable[T]], expect: int | None = None) -> T:
    """Do a read-and-write again while somebody else's write comes in between.

    Not so when the caller said which revision it `expect`s: then Stale is the answer. Raises Conflict in a storm.
    """
    for _ in range(_ATTEMPTS):
        try:
            return await attempt()
        except Stale:
            if expect is not None:
                raise
    raise Conflict("others keep changing it at the same time: try again", code="busy")


def put(spec: Spec, uid: str, body: Body, expect: int) -> Put:
    """The write of one record, with its name and the files that it keeps alive."""
    name = body.get(spec.name) if spec.name else None
    return Put(spec.kind, uid, body, name, expect, references_of(body))


def _unnoted(before: Record, after: Record) -> None:
    """Nobody wants to know."""


class Records:
    """The standard verbs for one kind. Each raises Unavailable while the store is away."""

    def __init__(self, store: Store, spec: Spec, noted: Noted = _unnoted) -> None:
        self.spec = spec
        self._store = store
        self._noted = noted
        self._turn = asyncio.Lock()
        """Changes wait in line here instead of failing each other; those of other processes still may."""

    async def all(self) -> dict[str, Body]:
        """Every record of the kind as it is shown, by uid."""
        return {record.uid: self.spec.view(record) for record in await self._store.records(self.spec.kind)}

    async def get(self, key: str) -> Record:
        """The record with that uid or, where the kind has names, with that name; raises NotFound."""
        found = None
        if is_uid(key):
            found = await self._store.get(self.spec.kind, key)
        elif self.spec.name and _is_text(key):
            found = await self._store.find(self.spec.kind, key)
        if found is None:
            what = "uid or name" if self.spec.name else "uid"
            raise NotFound(f"no {self.spec.kind} has the {what} {key[:100]!r}")
        return found

    async def create(self, body: Body) -> Record:
        """Create it; raises Invalid, or Conflict where the uid or the name is taken."""
        uid, fields = self.spec.read_new(body)
        fields = await self.spec.refine(self._store, {}, fields)
        write = put(self.spec, uid or uuid4().hex, fields, ABSENT)
        return _written(write, await self._store.commit(write))

    async def patch(self, key: str, body: Body, expect: int | None = None) -> Record:
        """Change the given fields; raises NotFound, Invalid, Conflict, and Stale unless `expect` is the revision."""
        return await self._change(key, expect, lambda record: self.spec.read_patch(body, record))

    async def replace(self, key: str, body: Body, expect: int | None = None) -> Record:
        """Change all settable fields; raises as `patch` does."""
        return await self._change(key, expect, lambda record: self.spec.read_replacement(body, record))

    async def delete(self, key: str, expect: int | None = None) -> Record:
        """Remove it; raises as `patch` does. Returns what was removed."""

        async def attempt() -> Record:
            record = await self.expected(key, expect)
            self.spec.guard(record.body, None)
            await self._store.commit(Delete(record.kind, record.uid, record.revision))
            return record

        async with self._turn:
            return await until_settled(attempt, expect)

    async def expected(self, key: str, expect: int | None) -> Record:
        """The record, which must have the revision `expect` where one is named; raises NotFound or Stale."""
        record = await self.get(key)
        if expect is not None and record.revision != expect:
            raise Stale(f"the {self.spec.kind} has changed since: its revision is {record.revision}, not {expect}")
        return record

    async def _change(self, key: str, expect: int | None, edit: Callable[[Record], Body]) -> Record:
        async def attempt() -> Record:
            record = await self.expected(key, expect)
            body = await self.spec.refine(self._store, record.body, edit(record))
            if body == record.body:
                return record
            self.spec.guard(record.body, body)
            write = put(self.spec, record.uid, body, record.revision)
            written = _written(write, await self._store.commit(write))
            self._noted(record, written)
            return written

        async with self._turn:
            return await until_settled(attempt, expect)


def _written(write: Put, revision: int) -> Record:
    return Record(write.kind, write.uid, revision, write.body, write.name)


def _is_text(key: str) -> bool:
    """Whether it can be written in UTF-8: a path may carry bytes that are no text."""
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True
