"""GET /head/heartbeat: another head opens a WebSocket here and tells over it that it lives."""

from __future__ import annotations

from agent.api.answers import READS, Answers, together
from agent.api.call import Answer, Call
from agent.errors import Invalid, Malformed, Unavailable

LINK = Answers(
    data=None,
    status=101,
    fails=together(READS, {Malformed: ("not-a-websocket",), Invalid: ("invalid",), Unavailable: ("stopping",)}),
)


async def heartbeat(call: Call) -> Answer:
    """Take a head's beats for as long as the link lasts."""
    return Answer(sent=await call.rooms.links.serve(call.request, lambda: call.admit().head))
