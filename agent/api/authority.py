"""The cluster's CA: which this head believes, and its exchange for a new one."""

from __future__ import annotations

from typing import Annotated, TypedDict

from msgspec import Meta, Struct
from typing_extensions import override

from agent.api.answers import READS, Answers, together
from agent.api.call import Answer, Call
from agent.errors import Conflict, Unavailable
from agent.model import Progress
from agent.ports import CaPair, CaState, Step


class StepRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /head/ca; `ca` goes with the step `trust`, and is secret."""

    step: Step
    ca: Annotated[str | None, Meta(description="The new CA's private key and certificate, PEM")] = None

    @override
    def __repr__(self) -> str:
        """Without the secret."""
        return f"StepRequest({self.step!r})"


class Rotated(TypedDict):
    """An exchange that is done: the new CA, on which heads, and the steps that each has taken."""

    ca_sha256: str
    heads: list[str]
    steps: list[Step]


STATE = Answers(data=CaState, fails=READS)
STEPPED = Answers(data=CaState, fails=together(READS, {Conflict: ("no-ca",)}))
ROTATED = Answers(
    data=Rotated, fails=together(READS, {Conflict: ("busy", "no-pin", "no-ca"), Unavailable: ("unreachable",)})
)


PROGRESS = Answers(data=Progress | None)


async def read_ca(call: Call) -> Answer:
    """GET /head/ca: which CAs this head believes, its engine included, and what it knows of the other heads'."""
    return Answer(await call.rooms.rotation.state())


async def do_step(call: Call) -> Answer:
    """POST /head/ca: one step of an exchange that another head drives."""
    request = await call.body_as(StepRequest)
    call.about["step"] = str(request.step)
    return Answer(await call.rooms.rotation.do(request.step, CaPair(request.ca) if request.ca else None))


async def progress(call: Call) -> Answer:
    """GET /heads/ca/rotate: how far the exchange has come that this head drives; null where it drives none."""
    return Answer(call.rooms.rotation.progress)


async def rotate(call: Call) -> Answer:
    """POST /heads/ca/rotate: exchange the cluster's CA on all heads."""
    return Answer(await call.rooms.rotation.rotate())
