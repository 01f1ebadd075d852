"""GET and POST /head/services: the table of services, and actions on them."""

from __future__ import annotations

import msgspec

from agent.api.answers import Answers, Codes
from agent.api.call import Answer, Call
from agent.api.envelope import streaming
from agent.api.streams import MEDIA, event, told
from agent.errors import Conflict, Failed, TimedOut, Unavailable
from agent.model import Service
from agent.services.actions import Outcome, Result


class ServicesRequest(msgspec.Struct):
    """The body of POST /head/services: a comma-separated list of words, and names that GET shows."""

    status: str
    services: list[str]


_AWAY: Codes = {Unavailable: ("systemd-away", "unavailable")}
LIST = Answers(data=list[Service], fails=_AWAY)
ACTED = Answers(
    data=list[Outcome],
    fails={**_AWAY, Conflict: ("configuration",), Failed: ("failed",), TimedOut: ("timeout",)},
    partial=list[Outcome],
)
FOLLOWED = Answers(
    data=str,
    media=(MEDIA,),
    fails={Unavailable: ("readers", "stopping")},
    example=(
        'id: 7\nevent: changed\ndata: {"name":"clusterware-dhcpd","status":"down","unit":"clusterware-dhcpd.service",'
        '"description":"DHCP server","load_state":"loaded","active_state":"failed","sub_state":"failed",'
        '"enabled":"enabled","since":"2026-01-31T12:00:00.000Z","pid":null,"restarts":3,"result":"exit-code"}\n\n'
    ),
)


async def list_services(call: Call) -> Answer:
    """The table as it is in memory: systemd is not asked."""
    return Answer(msgspec.Raw(call.rooms.supervisor.table))


async def follow_services(call: Call) -> Answer:
    """The table, then each change of it as soon as systemd tells, for as long as the reader reads and may."""
    reader = call.rooms.supervisor.changes.reader()
    try:
        chunks = told(reader.take, reader.wake, lambda one: event(one.what, one.data, one.number))
        headers = streaming(call.request_id)
        return Answer(sent=await call.rooms.streams.serve(call.request, headers, call.admit, chunks))
    finally:
        reader.close()


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
