"""GET /head/doctor: what is wrong with this head, or will be, and what to do."""

from __future__ import annotations

from agent.api.answers import Answers
from agent.api.call import Answer, Call
from agent.diagnosis.report import Report

REPORT = Answers(data=Report)


async def examine(call: Call) -> Answer:
    """The whole report; it is 200 whatever was found. Only the local socket is told paths."""
    return Answer(await call.rooms.doctor.examine(local=call.caller.local))
