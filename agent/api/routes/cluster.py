"""The rows about the cluster: its heads, and what they tell each other."""

from __future__ import annotations

from agent.api import authority, heads, heartbeat, join, peers, roster, tokens
from agent.api.call import Access, Route
from agent.heads.introduction import JoinRequest
from agent.heads.record import HEADS as SPEC
from agent.heads.record import HeadNew

HEADS: tuple[Route, ...] = (
    Route(
        "GET",
        "/heads",
        heads.list_heads,
        Access.TOKEN,
        "List the heads, by uid, with their states",
        "HeadsRead",
        answers=heads.LIST,
    ),
    Route(
        "POST",
        "/heads",
        heads.create_head,
        Access.TOKEN,
        "Register a head",
        "HeadsWrite",
        body=HeadNew,
        answers=heads.CREATED,
    ),
    Route(
        "GET",
        "/heads/meta",
        heads.describe_heads,
        Access.TOKEN,
        "The fields of a head",
        "HeadsRead",
        answers=heads.FIELDS,
    ),
    Route(
        "GET",
        "/heads/down",
        heads.list_down,
        Access.TOKEN,
        "List the heads that are down",
        "HeadsRead",
        answers=heads.DOWN,
    ),
    Route(
        "DELETE",
        "/heads/down",
        heads.delete_down,
        Access.TOKEN,
        "Remove the heads that are down from the cluster",
        "HeadsWrite",
        switches=("dry_run",),
        answers=heads.DOWN_REMOVED,
    ),
    Route(
        "GET",
        "/head/{uid}",
        heads.read_head,
        Access.TOKEN,
        "Read a head; `self` is this one",
        "HeadsRead",
        answers=heads.ONE,
    ),
    Route(
        "PATCH",
        "/head/{uid}",
        heads.patch_head,
        Access.TOKEN,
        "Change some fields of a head",
        "HeadsWrite",
        body=SPEC.partial,
        answers=heads.CHANGED,
    ),
    Route(
        "PUT",
        "/head/{uid}",
        heads.replace_head,
        Access.TOKEN,
        "Change all fields of a head",
        "HeadsWrite",
        body=SPEC.shape,
        answers=heads.CHANGED,
    ),
    Route(
        "DELETE",
        "/head/{uid}",
        heads.delete_head,
        Access.TOKEN,
        "Remove another head, up or down",
        "HeadsWrite",
        switches=("force",),
        answers=heads.REMOVED,
    ),
    Route(
        "POST",
        "/heads/join",
        join.admit,
        Access.TOKEN,
        "Let a head in: its certificate, the CA with its key, the heads, and what its database needs",
        "HeadsJoin",
        body=JoinRequest,
        tls_only=True,
        answers=join.ADMITTED,
    ),
    Route(
        "DELETE",
        "/heads/join",
        join.withdraw,
        Access.TOKEN,
        "Take back that a head was let in with this token, as long as it has not shown itself to be a member",
        "HeadsJoin",
        tls_only=True,
        answers=join.WITHDRAWN,
    ),
    Route(
        "POST",
        "/heads/farewell",
        join.farewell,
        Access.OTHER_HEAD,
        "Hear from the head that calls that it leaves",
        answers=join.FAREWELL,
    ),
    Route(
        "POST",
        "/head/join",
        join.join,
        Access.ROOT,
        "Have this head join a cluster; a failure leaves everything as it was",
        body=join.JoinBody,
        answers=join.JOINED,
    ),
    Route(
        "GET", "/head/join", join.progress, Access.LOCAL, "The steps of a join that is under way", answers=join.STEPS
    ),
)

BETWEEN_HEADS: tuple[Route, ...] = (
    Route(
        "GET",
        "/head/heartbeat",
        heartbeat.heartbeat,
        Access.OTHER_HEAD,
        "A WebSocket over which a head beats",
        answers=heartbeat.LINK,
    ),
    Route(
        "GET",
        "/head/ca",
        authority.read_ca,
        Access.KNOWN_HEAD,
        "Which CAs this head and its engine believe",
        answers=authority.STATE,
    ),
    Route(
        "POST",
        "/head/ca",
        authority.do_step,
        Access.OTHER_HEAD,
        "Do a step of the exchange of the cluster's CA, which another head drives",
        body=authority.StepRequest,
        answers=authority.STEPPED,
    ),
    Route(
        "POST",
        "/heads/ca/rotate",
        authority.rotate,
        Access.ROOT,
        "Exchange the cluster's CA on all heads",
        answers=authority.ROTATED,
    ),
    Route(
        "GET",
        "/head/roster",
        roster.roster,
        Access.KNOWN_HEAD,
        "This head's list of heads, to merge",
        answers=roster.LISTING,
    ),
)

ACCESS: tuple[Route, ...] = (
    Route(
        "GET",
        "/head/peerurl",
        peers.peer_url,
        Access.PUBLIC,
        "What a head must know before it joins",
        answers=peers.PEER_URL,
    ),
    Route(
        "POST",
        "/head/token",
        tokens.make_token,
        Access.ROOT,
        "Make a token, signed with this head's SSH key",
        body=tokens.TokenRequest,
        answers=tokens.MADE,
    ),
)
