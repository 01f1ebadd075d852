"""GET /head/heartbeat: another head opens a WebSocket here and tells over it that it lives."""

from __future__ import annotations

from agent.api.call import Answer, Call


async def heartbeat(call: Call) -> Answer:
    """Take a head's beats for as long as the link lasts."""
    return Answer(sent=await call.rooms.links.serve(call.request, lambda: call.admit().head))
