"""Another head's agent, as far as it tells what its objects refer to."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from agent.ports import PeerAnswer
from tests.support.files import SetReferences
from tests.support.peers import Asked, Responder, answered


def answering(references: SetReferences) -> Responder:
    """Answers both questions about references as the routes do."""

    async def respond(asked: Asked) -> PeerAnswer:
        if asked.method == "POST":
            return answered(sorted(await references.named(asked.body["filenames"])))
        query = parse_qs(urlsplit(asked.path).query, keep_blank_values=True)
        return answered(await references.page(query["after"][0], int(query["limit"][0])))

    return respond
