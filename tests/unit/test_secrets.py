"""What is secret does not show itself where its holder is printed."""

from __future__ import annotations

import pytest

from agent.api.authority import StepRequest
from agent.api.join import JoinBody
from agent.heads.introduction import Welcome
from agent.heads.roster import Listing
from agent.heads.sponsor import Invitation
from agent.ports import Attachment, CaPair, Issued, Step

ISSUED = Issued("c", "p", "hush", "k")


@pytest.mark.parametrize(
    "holder",
    [
        CaPair("hush"),
        ISSUED,
        Welcome(ISSUED, Listing("c", {}, {}), Attachment("sqlite", "c")),
        Invitation("https://192.0.2.1", "hush", "ab"),
        JoinBody("https://192.0.2.1", "hush", "ab"),
        StepRequest(Step.TRUST, "hush"),
    ],
    ids=lambda holder: type(holder).__name__,
)
def test_a_secret_is_not_printed_with_its_holder(holder: object) -> None:
    assert "hush" not in repr(holder)
