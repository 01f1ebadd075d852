"""GET /head/roster: this head's list of heads, for another head to merge into its own."""

from __future__ import annotations

from agent.api.answers import READS, Answers
from agent.api.call import Answer, Call
from agent.heads.roster import Listing

LISTING = Answers(data=Listing, fails=READS)


async def roster(call: Call) -> Answer:
    """The cluster's id, the heads' records and the tombstones as they are stored; a newcomer asks for it as a proof."""
    if call.caller.head is not None:
        call.rooms.admission.proved(call.caller.head)
    return Answer(await call.rooms.gossip.listing())
