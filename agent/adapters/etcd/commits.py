"""Commits: each one transaction, whose outcome is settled also when no answer came.

Every commit of a head also writes its one key `commit/<owner>`, on condition that this has not changed. So a
transaction can happen once only, whoever holds it up; the key's value tells whose was the last; and a refused one
writes there too, after which none that was sent before can still happen.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from typing import TypeVar

from agent.adapters.etcd.cache import Cache
from agent.adapters.etcd.client import DEADLINE, EtcdClient
from agent.adapters.etcd.errors import Again, InDoubt, NoQuorum, NoSpace
from agent.adapters.etcd.keys import Layout
from agent.adapters.etcd.planning import Plan, plan
from agent.adapters.etcd.pulse import Pulse
from agent.adapters.etcd.wire import Txn, look, put, unchanged
from agent.errors import AgentError, Conflict, NotFound, Stale
from agent.ports import Change, Clock

E = TypeVar("E", bound=AgentError)


class Committer:
    """This head's commits, one after the other."""

    def __init__(
        self, client: EtcdClient, layout: Layout, cache: Cache, pulse: Pulse, clock: Clock, owner: str
    ) -> None:
        self._client = client
        self._layout = layout
        self._cache = cache
        self._pulse = pulse
        self._clock = clock
        self._key = layout.commit(owner)
        self._last = 0
        """etcd's revision of this head's last commit, as far as it is known."""
        self._turn = asyncio.Lock()

    async def commit(self, changes: Sequence[Change]) -> int:
        """Apply all changes or none; returns etcd's revision, which the cache has reached then.

        Raises Conflict, Stale, NotFound, NoQuorum, and InDoubt when members that were asked have not answered.
        """
        async with self._turn:
            mine, ends, looked = secrets.token_hex(8).encode(), self._clock.monotonic() + DEADLINE, False
            while True:
                try:
                    made = plan(self._cache, self._layout, changes)
                except (Conflict, Stale, NotFound):
                    if looked:
                        raise
                    # What is known may be moments old: nobody is refused for what is so no more.
                    await self._pulse.confirm()
                    looked = True
                    continue
                revision, done = await self._send(made, mine, ends)
                if done:
                    break
                await self._pulse.reached(revision)
                looked = True
            self._last = revision
            await self._pulse.seen(revision)
            return revision

    async def _send(self, made: Plan, mine: bytes, ends: float) -> tuple[int, bool]:
        """Have the transaction decided; the revision at which that happened, and whether it was done."""
        sent = False
        while True:
            try:
                answer = await self._try(made, mine)
            except Again as err:
                sent = sent or err.sent
                if not await self._client.another(ends):
                    raise self._given_up(err.reason, sent=sent) from err
            except AgentError as err:
                if isinstance(err, NoSpace):
                    self._pulse.survey_soon()
                elif not sent:
                    raise
                return await self._made_all_the_same(mine, err, sent=sent), True
            else:
                return self._read(answer, mine)

    async def _try(self, made: Plan, mine: bytes) -> Txn:
        return await self._client.txn(
            self._client.endpoints.best,
            [unchanged(self._key, self._last), *made.compare],
            [*made.success, put(self._key, mine)],
            [look(self._key), put(self._key, b"")],
        )

    def _read(self, answer: Txn, mine: bytes) -> tuple[int, bool]:
        if answer.succeeded:
            return answer.header.revision, True
        self._last = answer.header.revision
        for kv in answer.responses[0].response_range.kvs:
            if kv.value == mine:
                return kv.mod_revision, True  # an attempt that was not answered was done
        return answer.header.revision, False

    async def _made_all_the_same(self, mine: bytes, refusal: AgentError, *, sent: bool) -> int:
        """The revision of an attempt that was made before `refusal` or in spite of it; raises that where there is none.

        NoSpace is also etcd's answer to the very write that fills it, which it makes. `sent`: an attempt was not
        answered, which may happen yet, as this refusal wrote nothing.
        """
        try:
            own = (await self._client.range(self._key)).kvs
        except AgentError as err:
            raise _in_doubt(refusal) from err
        for kv in own:
            if kv.value == mine:
                return kv.mod_revision
        raise _in_doubt(refusal) if sent else refusal

    def _given_up(self, reason: str, *, sent: bool) -> NoQuorum:
        if not sent:
            return NoQuorum(self._client.explain(reason))
        return _in_doubt(InDoubt(self._client.explain(reason)))


def _in_doubt(refusal: E) -> E:
    """The refusal of a change that may have been made, or may be made yet."""
    reason = f"{refusal.reason}; whether the change was made is not known: read it again then"
    return type(refusal)(reason, code=refusal.code)
