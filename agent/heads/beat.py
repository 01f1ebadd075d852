"""The heartbeat: what one head's agent tells each other's, every interval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from agent.errors import Malformed

PROTOCOL = 1
"""Grows when heads of the version before could no longer understand more than the core of a beat. Version 0.1.0 of the
agent hears no other protocol than 1: it must have gone from all clusters before this grows."""

UNSAID = 1
"""The protocol of a beat that names none: for ever, as a default is not sent and 0.1.0 has no other."""

Age = Annotated[float, Meta(ge=0, le=1e9)]
"""Seconds ago: nothing was ever heard in the future, nor before there were clocks that could tell of it."""
Run = Annotated[str, Meta(max_length=64)]
Count = Annotated[int, Meta(ge=0, lt=2**53)]


class Beat(Struct, frozen=True, omit_defaults=True):
    """One beat of `head`; it carries ages, never times, as clocks differ."""

    head: str
    boot: Run
    """Names this run of the agent: its sequence begins anew with another."""
    seq: Count
    heard: Mapping[str, Age] = {}
    """How many seconds ago it last heard each other head itself."""
    stopped: Mapping[str, tuple[Run, Age]] = {}
    """The heads that it knows to have stopped in order: which boot, and how many seconds ago."""
    stopping: bool = False
    """The last beat before a stop in order."""
    roster: Annotated[str, Meta(max_length=64)] = ""
    """A digest of its list of heads, where the engine does not share that."""
    protocol: int = UNSAID
    version: Annotated[str, Meta(max_length=100)] = ""


class _Core(Struct, frozen=True):
    """What the beats of every protocol have, in these words and for ever: who lives, and whether it stops."""

    head: str
    boot: Run
    seq: Count
    stopping: bool = False
    protocol: int = UNSAID
    version: Annotated[str, Meta(max_length=100)] = ""


_decoder = msgspec.json.Decoder(Beat)
_core_decoder = msgspec.json.Decoder(_Core)


def encode(beat: Beat) -> bytes:
    """A beat as it is sent."""
    return msgspec.json.encode(beat)


def decode(frame: bytes | str) -> Beat:
    """A beat as it came; raises Malformed. Fields of later versions are passed over.

    Of a beat of a newer protocol only the core is taken, whatever became of the rest: a head is not down because it
    was upgraded first.
    """
    try:
        core = _core_decoder.decode(frame)
        if core.protocol <= PROTOCOL:
            return _decoder.decode(frame)
    except (msgspec.MsgspecError, RecursionError) as err:
        raise Malformed(f"this is no heartbeat: {str(err)[:200]}") from err
    return Beat(core.head, core.boot, core.seq, stopping=core.stopping, protocol=core.protocol, version=core.version)
