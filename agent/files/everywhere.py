"""What the objects of all heads refer to: with a shared store one look tells, else every head is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from urllib.parse import quote

from agent.errors import AgentError, Unavailable
from agent.files.merging import merged, together
from agent.ports import LARGE, PeerAnswer, Peers, References, walk_key

PATH = "/head/files/references"
PAGE = 2000
"""References asked of a head at a time: of fifteen heads, a few megabytes are at hand."""

_QUESTION = 200_000
"""Bytes of filenames in one question, well below what a body may have."""
_PATIENCE = 30.0
"""Seconds that a head has for an answer."""
_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Company:
    """The other heads, each with the reason why it must not be relied on now, such as `is down`; None: it can be asked.

    `shared`: they keep their objects in one store, so that nobody needs to be asked.
    """

    shared: bool
    others: Mapping[str, str | None]


class EveryHead:
    """`References` over all heads. A head that cannot be asked, or answers oddly, is Unavailable: fail closed."""

    def __init__(self, own: References, peers: Peers, company: Callable[[], Company]) -> None:
        self._own = own
        self._peers = peers
        self._company = company

    async def references(self) -> AsyncIterator[Sequence[str]]:
        """All referenced filenames of all heads, in walk order, batch by batch."""
        asked = self._to_ask()
        if not asked:
            async for batch in self._own.references():
                yield batch
        else:
            async for batch in merged([self._own.references(), *(self._pages(uid) for uid in asked)]):
                yield batch
        if joined := sorted(set(self._to_ask()).difference(asked)):
            raise _unknown(joined[0], "it has joined while the others were asked", "Ask again.")

    async def named(self, filenames: Collection[str]) -> set[str]:
        """Those of `filenames` that an object of any head refers to; heads that join meanwhile are asked too."""
        found = await self._own.named(filenames)
        asked: set[str] = set()
        for _ in range(_ROUNDS):
            waiting = [uid for uid in self._to_ask() if uid not in asked]
            if not waiting:
                return found
            await together([self._ask_about(uid, filenames, found) for uid in waiting])
            asked.update(waiting)
        raise Unavailable("cannot know what the objects of all heads refer to: heads join all the time; ask again")

    def _to_ask(self) -> list[str]:
        """The heads that have objects of their own; raises Unavailable where one of them must not be relied on."""
        company = self._company()
        if company.shared:
            return []
        for uid, why in company.others.items():
            if why is not None:
                raise _unknown(uid, f"it {why}")
        return list(company.others)

    async def _pages(self, uid: str) -> AsyncIterator[Sequence[str]]:
        """One head's references."""
        after = ""
        while True:
            path = f"{PATH}?after={quote(after, safe='')}&limit={PAGE}"
            page = _page(uid, await self._ask(uid, "GET", path), after)
            if not page:
                return
            yield page
            after = page[-1]

    async def _ask_about(self, uid: str, filenames: Collection[str], found: set[str]) -> None:
        """Add to `found` those that one head's objects refer to."""
        for question in _questions(filenames):
            answer = await self._ask(uid, "POST", PATH, {"filenames": question})
            named = _filenames(uid, answer)
            if not named <= set(question):
                raise _unknown(uid, "it answered with files that it was not asked about")
            found |= named

    async def _ask(self, uid: str, method: str, path: str, body: Any = None) -> PeerAnswer:
        try:
            answer = await self._peers.ask(uid, method, path, body, timeout=_PATIENCE, largest=LARGE)
        except AgentError as err:
            raise _unknown(uid, err.reason) from err
        if answer.status != 200:
            raise _unknown(uid, answer.reason)
        return answer


def _unknown(uid: str, why: str, way_out: str | None = None) -> Unavailable:
    way_out = way_out or (
        f"Bring that head back, or take it out of the cluster with DELETE /head/{uid} when it is gone for good."
    )
    return Unavailable(
        f"cannot know what the objects of head {uid} refer to: {why.rstrip('.')}. {way_out}", code="head-not-asked"
    )


def _filenames(uid: str, answer: PeerAnswer) -> set[str]:
    data = answer.data
    if not isinstance(data, list) or not all(isinstance(name, str) and name for name in data):
        raise _unknown(uid, "its answer is not a list of filenames")
    return set(data)


def _page(uid: str, answer: PeerAnswer, after: str) -> list[str]:
    """The filenames of an answer, which must be in strict walk order, behind `after`, and no more than were asked."""
    _filenames(uid, answer)
    page: list[str] = answer.data
    keys = [walk_key(after), *map(walk_key, page)]
    if len(page) > PAGE or any(this >= that for this, that in pairwise(keys)):
        raise _unknown(uid, "its filenames are not in order")
    return page


def _questions(filenames: Collection[str]) -> Iterator[list[str]]:
    """The filenames in portions; what is not text cannot be in a record, so nobody is asked about it."""
    portion: list[str] = []
    size = 0
    for filename in filenames:
        try:
            length = len(filename.encode())
        except UnicodeEncodeError:
            continue
        if portion and size + length > _QUESTION:
            yield portion
            portion, size = [], 0
        portion.append(filename)
        size += length + 4
    if portion:
        yield portion
