"""The exchange of the cluster's CA for a new one, head by head, without a moment in which two heads refuse each other.

Each head goes through three steps (`Step`), and none begins before every head has ended the one before: as a change
of certificates is done in RFC 4210, section 4.4, by believing old and new side by side in between. Every step can be
repeated, so an exchange that was cut off goes on where it was, when it is asked for again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
import structlog

from agent.errors import AgentError, Conflict, Unavailable
from agent.heads.members import Members
from agent.model import Progress
from agent.ports import Authority, CaPair, CaState, Clock, Peers, Step

log = structlog.get_logger()

SETTLE = 120.0
"""Seconds in which all heads must have ended a step: their database engines restart one after the other."""
LOOK = 0.5
"""Seconds between two looks at where the heads stand."""

_SAYS = {
    Step.TRUST: "believe the new CA as well",
    Step.ISSUE: "have certificates of the new CA",
    Step.DROP: "believe the new CA alone",
}
"""What is to come about on a head, for whoever asks how far it is."""


def standing_in_the_way(step: Step, new: str, states: Mapping[str, CaState]) -> str | None:
    """What still has to happen on some head before `step` has been done everywhere; None when it has."""
    for uid, state in sorted(states.items()):
        if step is Step.TRUST and new not in (state.issuing, state.next):
            return f"head {uid} does not believe the new CA yet"
        if step is not Step.TRUST and state.issuing != new:
            return f"the certificate of head {uid} is not issued by the new CA yet"
        if step is Step.DROP and state.former is not None:
            return f"head {uid} still believes the former CA"
        for other in sorted(states):
            known = state.records.get(other, ())
            if new not in known or (step is Step.DROP and set(known) != {new}):
                return f"head {uid} has not heard yet what the record of head {other} says"
        if state.engine is not None and (new not in state.engine or (step is Step.DROP and set(state.engine) != {new})):
            return f"the database engine of head {uid} has not been restarted yet with the CAs of this step"
    return None


class Rotation:
    """Drives the exchange from this head, and does what another head's driver tells this one to."""

    def __init__(
        self,
        authority: Authority,
        peers: Peers,
        members: Callable[[], Members],
        believed_by_engine: Callable[[], Awaitable[str | None]],
        left_behind: Callable[[], Awaitable[Sequence[str]]],
        names: Callable[[str], tuple[str, ...]],
        clock: Clock,
    ) -> None:
        """`believed_by_engine`: the CAs, PEM, that this head's engine runs with, none while it is not ready;
        `left_behind`: the removed heads whose members the engine still has; `names`: the CAs of a PEM text.
        """
        self._authority = authority
        self._peers = peers
        self._members = members
        self._believed_by_engine = believed_by_engine
        self._left_behind = left_behind
        self._names = names
        self._clock = clock
        self._turn = asyncio.Lock()
        self.progress: Progress | None = None
        """How many steps are done, of all heads together, in the exchange that this head drives."""

    async def state(self) -> CaState:
        """Where this head stands; raises Unavailable."""
        own = await self._authority.state()
        heads = self._members().heads
        engine = await self._believed_by_engine()
        return msgspec.structs.replace(
            own,
            engine=None if engine is None else self._names(engine) if engine else (),
            records={uid: self._names(head.ca_pem or "") for uid, head in heads.items()},
        )

    async def do(self, step: Step, pair: CaPair | None) -> CaState:
        """Do one step on this head; raises Conflict, Invalid, Unavailable. Returns where it stands then."""
        match step:
            case Step.TRUST:
                if pair is None:
                    raise Conflict("cannot believe a new CA without being given it", code="no-ca")
                await self._authority.trust(pair)
            case Step.ISSUE:
                await self._authority.issue()
            case Step.DROP:
                await self._authority.drop()
        log.info("Step of the CA's exchange done", step=step)
        return await self.state()

    async def rotate(self) -> dict[str, Any]:
        """Exchange the CA on all heads; raises Conflict or Unavailable, naming the head that it hangs on.

        Then nothing is lost and every head still believes every other; asking again goes on from there. What was
        begun before is ended and followed by another exchange: a head that has been removed since may know that key.
        """
        if self._turn.locked():
            raise Conflict("the cluster's CA is being exchanged already: wait for that to end", code="busy")
        async with self._turn:
            before = await self._all()
            self._need_pins()
            await self._without_those_left_behind()
            new = await self._exchange()
            if any(state.next or state.former for state in before.values()):
                new = await self._exchange()
        return {"ca_sha256": new, "heads": sorted(before), "steps": [str(step) for step in Step]}

    def _need_pins(self) -> None:
        """Raises Conflict for a head that anybody with the former CA's key could pass for: it would be sent the new."""
        for uid, head in self._members().heads.items():
            if not head.key_sha256:
                raise Conflict(
                    f"cannot exchange the CA: the record of head {uid} has no key_sha256, so nothing would prove that "
                    f"it is that head which gets the new CA's key; remove it with DELETE /head/{uid} and have it join",
                    code="no-pin",
                )

    async def _exchange(self) -> str:
        """Have every head go over to the CA that is proposed; returns its name."""
        pair = await self._authority.propose()
        (new,) = self._names(pair.pem)
        log.warning("Exchange of the cluster's CA begun", new=new, heads=len(self._members().heads))
        try:
            for step in Step:
                await self._everywhere(step, pair if step is Step.TRUST else None, new)
        finally:
            self.progress = None
        log.warning("Cluster's CA exchanged", new=new)
        return new

    async def _everywhere(self, step: Step, pair: CaPair | None, new: str) -> None:
        await self._without_those_left_behind()
        states = await self._all()
        each = len(states) + 1  # every head is told, and then all are waited for
        before, total = list(Step).index(step) * each, len(Step) * each
        for number, (uid, state) in enumerate(states.items()):
            self.progress = Progress(before + number, total, f"{_SAYS[step]}: {uid}")
            if not _done(step, new, state):
                if step is Step.ISSUE:  # whoever drives another at the same time may have told any of them since
                    _need_all_to_believe(new, await self._all())
                await self._tell(uid, step, pair)
        self.progress = Progress(before + len(states), total, f"{_SAYS[step]}: all heads")
        deadline = self._clock.monotonic() + SETTLE
        while (what := standing_in_the_way(step, new, await self._all())) is not None:
            if self._clock.monotonic() > deadline:
                raise Unavailable(f"cannot go on with the CA's exchange: {what}; ask again once that is mended")
            await asyncio.sleep(LOOK)

    async def _without_those_left_behind(self) -> None:
        """Wait until the engine has no member of a removed head.

        Nobody tells that one of the new CA. As the engine's leader it would go on leading whom it is connected to, and
        whoever is restarted would find no way back in.
        """
        deadline = self._clock.monotonic() + SETTLE
        while left := await self._left_behind():
            if self._clock.monotonic() > deadline:
                raise Unavailable(
                    f"cannot exchange the CA: the database still has the member of head {left[0]}, which was removed: "
                    "see `cw-headctl doctor`, and ask again once it is gone"
                )
            await asyncio.sleep(LOOK)

    async def _all(self) -> dict[str, CaState]:
        """Where every member stands; raises Unavailable for one that cannot be asked: an exchange needs all."""
        members = self._members()
        return {
            uid: await (self.state() if uid == members.self_uid else self._ask(uid, "GET", None))
            for uid in members.heads
        }

    async def _tell(self, uid: str, step: Step, pair: CaPair | None) -> None:
        if uid == self._members().self_uid:
            await self.do(step, pair)
        else:
            await self._ask(uid, "POST", {"step": step, **({"ca": pair.pem} if pair else {})})

    async def _ask(self, uid: str, method: str, body: dict[str, Any] | None) -> CaState:
        try:
            answer = await self._peers.ask(uid, method, "/head/ca", body)
        except AgentError as err:
            raise Unavailable(
                f"cannot exchange the CA: head {uid} cannot be asked ({err.reason}); bring it back, or remove it with "
                f"DELETE /head/{uid}, then ask again"
            ) from err
        if answer.status != 200:
            raise Unavailable(f"cannot exchange the CA: head {uid} answered: {answer.reason}")
        return msgspec.convert(answer.data, CaState)


def _need_all_to_believe(new: str, states: Mapping[str, CaState]) -> None:
    """Raises Conflict where a head has been told of another CA: it would refuse whoever shows a certificate of this."""
    for uid, state in sorted(states.items()):
        if new not in (state.issuing, state.next):
            raise Conflict(
                f"another head drives an exchange of the CA too, of which head {uid} was told: wait for its end, "
                "then ask again",
                code="busy",
            )


def _done(step: Step, new: str, state: CaState) -> bool:
    match step:
        case Step.TRUST:
            return new in (state.issuing, state.next)
        case Step.ISSUE:
            return state.issuing == new
        case Step.DROP:
            return state.former is None
