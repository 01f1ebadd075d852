"""GET and POST /head/services: the table of services, and actions on them."""

from __future__ import annotations

import msgspec

from agent.api.answers import Answers, Codes
from agent.api.call import Answer, Call
from agent.errors import Failed, TimedOut, Unavailable
from agent.model import Service
from agent.services.actions import Outcome, Result


class ServicesRequest(msgspec.Struct):
    """The body of POST /head/services: a comma-separated list of words, and names that GET shows."""

    status: str
    services: list[str]


_AWAY: Codes = {Unavailable: ("systemd-away", "unavailable")}
LIST = Answers(data=list[Service], fails=_AWAY)
ACTED = Answers(data=list[Outcome], fails={**_AWAY, Failed: ("failed",), TimedOut: ("timeout",)}, partial=list[Outcome])


async def list_services(call: Call) -> Answer:
    """The table as it is in memory: systemd is not asked."""
    return Answer(msgspec.Raw(call.rooms.supervisor.table))


async def act_on_services(call: Call) -> Answer:
    """Checks everything, then does it; 502 (504 when only time ran out) with the same list where some was not done."""
    supervisor = call.rooms.supervisor
    request = supervisor.read(await call.body())
    call.about |= {"unit": list(request.units), "action": [str(action) for action in request.actions]}
    outcomes = await supervisor.carry_out(request)
    refuse_unless_done(outcomes)

    async def after() -> None:
        supervisor.act_on_self(request.actions)

    return Answer(outcomes, after=after if request.own else None)


def refuse_unless_done(outcomes: list[Outcome]) -> None:
    """Raises TimedOut or Failed, with what was done as its data, unless all of it was done."""
    results = {(outcome.name, done.action): done.result for outcome in outcomes for done in outcome.actions}
    wrong = {what: result for what, result in results.items() if result not in (Result.DONE, Result.SKIPPED)}
    if not wrong:
        return
    (name, action), result = next(iter(wrong.items()))
    more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    reason = f"cannot {action} {name}: {result}{more}; data has each result"
    if all(result is Result.TIMEOUT for result in wrong.values()):
        raise TimedOut(reason, data=outcomes)
    raise Failed(reason, data=outcomes)
