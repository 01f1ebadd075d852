"""Which head is meant by --head: its uid, the beginning of it, its description or its host name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from agent.ctl.client import Agent, ask
from agent.ctl.outcome import Exit, Failure

_UID = re.compile(r"[a-z0-9]{32}")


def head(here: Agent, said: str) -> str:
    """The uid of the head that is meant, from this head's list; raises Failure."""
    if _UID.fullmatch(said):
        return said
    doing = f"tell which head {said} is"
    return chosen(ask(here, "GET", "/heads", doing=doing).data, said)


def chosen(heads: Mapping[str, Mapping[str, Any]], said: str) -> str:
    """The one head that is called so; raises Failure when there is none, or several."""
    called = [uid for uid, record in heads.items() if said.lower() in names(record)]
    found = called or [uid for uid in heads if uid.startswith(said.lower())]
    if len(found) == 1:
        return found[0]
    if found:
        raise Failure(f"cannot tell which head {said} is: it may be {' or '.join(sorted(found))}: say more", Exit.USAGE)
    known = ", ".join(label(uid, heads) for uid in sorted(heads)) or "none"
    raise Failure(f"cannot tell which head {said} is: `cw-headctl heads ls` has {known}", Exit.USAGE)


def names(record: Mapping[str, Any]) -> Iterator[str]:
    """What a head may be called besides its uid, in lower case: its description, its URL's host, whole and short."""
    if record.get("description"):
        yield record["description"].lower()
    host = re.match(r"https?://(\[[^\]]*\]|[^/:]+)", record.get("url") or "")
    if host:
        yield host[1].lower()
        if re.match(r"[a-z]", host[1], re.IGNORECASE):
            yield host[1].partition(".")[0].lower()


def label(uid: str, heads: Mapping[str, Mapping[str, Any]]) -> str:
    """What to call a head in a table: its description where no other head has the same, else its uid."""
    own = str(heads[uid].get("description") or "")
    alone = sum(record.get("description") == own for record in heads.values()) == 1
    return own if own and alone and len(own) <= 32 else uid


def own(here: Agent) -> str:
    """This head's uid."""
    uid: str = ask(here, "GET", "/head/peerurl", doing="tell which head this is").data["uid"]
    return uid
