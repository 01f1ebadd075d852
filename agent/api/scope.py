"""`?scope=cluster`: one request to one head, done by every head of the cluster, and answered head by head."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

from agent.api.call import Answer, Call
from agent.api.forward import on_behalf_of
from agent.api.query import Choice
from agent.api.router import PREFIX
from agent.errors import AgentError
from agent.heads.liveness import State
from agent.ports import LARGE

SCOPE = Choice("scope", ("head", "cluster"))

AT_ONCE = 4
"""Heads that are asked at the same time, where they may be."""


async def scoped(
    call: Call, local: Callable[[Call], Awaitable[Answer]], *, patience: float, in_turn: bool = False
) -> Answer:
    """Answer for this head, or with ?scope=cluster for all: `data` is then, by uid, what each head answered.

    A head that could not do it has `reason` and `code` in its place, and is named in `meta.failed`. Where this head
    itself cannot do it, that is the answer, and no other is asked. `patience` is the seconds that each other head has;
    `in_turn`: one after the other, since one would exclude the next.
    """
    if call.value(SCOPE) == "head":
        return await local(call)
    own = await local(call)
    rooms = call.rooms
    members, conditions = rooms.members(), rooms.heads.outlook().conditions
    turn = asyncio.Semaphore(1 if in_turn else AT_ONCE)

    async def other(uid: str) -> dict[str, Any]:
        condition = conditions.get(uid)
        if condition is not None and condition.state is State.DOWN:
            return {"reason": f"head {uid} is down", "code": "down"}
        async with turn:
            return await _ask(call, uid, patience)

    uids = sorted(set(members.heads) - {members.self_uid})
    results = await asyncio.gather(*(other(uid) for uid in uids))
    data = {members.self_uid: _shown(own), **dict(zip(uids, results, strict=True))}
    failed = sorted(uid for uid, result in data.items() if "code" in result)
    return Answer(data, meta={"scope": "cluster", "heads": len(data), "failed": failed})


async def _ask(call: Call, uid: str, patience: float) -> dict[str, Any]:
    """What one head answers to the same request for itself."""
    query = urlencode([(name, value) for name, value in call.request.query.items() if name != SCOPE.name])
    path = call.request.path.removeprefix(PREFIX) + (f"?{query}" if query else "")
    headers = {"X-Request-Id": call.request_id, **on_behalf_of(call)}
    try:
        answer = await call.rooms.peers.ask(
            uid, call.request.method, path, timeout=patience, headers=headers, largest=LARGE
        )
    except AgentError as err:
        return {"reason": err.reason, "code": err.code}
    envelope = {name: value for name, value in answer.envelope.items() if name != "success"}
    if answer.status < 400 and "data" in envelope:
        return envelope
    if not isinstance(answer.data, list):  # what it did all the same; else it is about the failure: a lock's holder
        envelope.pop("data", None)
    return {**envelope, "reason": answer.reason, "code": answer.code or "failed"}


def _shown(answer: Answer) -> dict[str, Any]:
    shown: dict[str, Any] = {"data": answer.data, **answer.beside}
    return {**shown, "meta": answer.meta} if answer.meta else shown
