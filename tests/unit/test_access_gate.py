"""The gate's own decisions: which kind of caller opens which kind of route, and what is remembered of a connection."""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from aiohttp import web
from multidict import CIMultiDict

from agent.adapters.identity.checks import PeerCertificate
from agent.adapters.identity.tokens import JwtVerifier
from agent.api.access import AccessGate
from agent.api.call import Access, Answer, Call, Route
from agent.config import Access as AccessConfig
from agent.config import Config, Live
from agent.errors import Denied, Unauthenticated, Unavailable
from tests.support.clock import StillClock
from tests.support.people import CLUSTER, ME, PEER, Roster, head, members
from tests.support.rows import ANYTHING
from tests.support.ssh import pair, signed

SSH = pair("ed25519")


class Socket:
    """A socket as far as the gate looks at one."""

    def __init__(self, family: socket.AddressFamily, uid: int = 0) -> None:
        self.family = family
        self.uid = uid
        self.asked = 0

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        """SO_PEERCRED."""
        assert (level, option) == (socket.SOL_SOCKET, socket.SO_PEERCRED)
        self.asked += 1
        return struct.pack("iII", 4711, self.uid, 100)[:size]


class Transport:
    """A connection's transport."""

    def __init__(self, sock: Socket, peer: str = "192.0.2.9", here: str = "192.0.2.1") -> None:
        self.facts: Mapping[str, Any] = {"socket": sock, "peername": (peer, 40000), "sockname": (here, 52390)}

    def get_extra_info(self, name: str) -> Any:
        """One of the facts."""
        return self.facts.get(name)


@dataclass
class Request:
    """A request as far as the gate looks at one."""

    transport: Transport | None
    headers: CIMultiDict[str] = field(default_factory=CIMultiDict)


class House:
    """A gate with what it stands on."""

    def __init__(self) -> None:
        self.live, self.clock = Live(Config()), StillClock()
        self.roster = Roster(members({PEER: head(None, "192.0.2.9")}, me=head(ssh_public=SSH.public)))
        self.gate = AccessGate(
            self.live, self.roster, JwtVerifier(), PeerCertificate.read, lambda: ("192.0.2.1",), self.clock
        )

    def admit(self, access: Access, request: Request, permission: str | None = None) -> Any:
        """What the gate says."""
        route = Route("GET", "/x", _nothing, access, "x", permission, answers=ANYTHING)
        return self.gate.admit(route, cast("web.BaseRequest", request))

    def token(self, **changes: Any) -> str:
        """A token, good unless changed."""
        at = int(self.clock.now().timestamp())
        body = {"iss": ME, "sub": "alice", "aud": CLUSTER, "perms": ["HeadsRead"], "exp": at + 60} | changes
        return signed(body, SSH.key, "EdDSA")


async def _nothing(call: Call) -> Answer:
    return Answer()


def over_socket(uid: int = 0) -> Request:
    """A request of a local user."""
    return Request(Transport(Socket(socket.AF_UNIX, uid)))


def over_tcp(*authorization: str, peer: str = "192.0.2.9") -> Request:
    """A request from elsewhere."""
    headers = CIMultiDict[str]([("Authorization", value) for value in authorization])
    return Request(Transport(Socket(socket.AF_INET6), peer), headers)


@pytest.fixture
def house() -> House:
    """A gate."""
    return House()


_FOR_PEOPLE = [access for access in Access if access is not Access.OTHER_HEAD]


@pytest.mark.parametrize("access", _FOR_PEOPLE)
def test_root_opens_every_route_over_the_socket_even_without_a_database(house: House, access: Access) -> None:
    house.roster.now = Unavailable("damaged")
    caller = house.admit(access, over_socket(), "HeadsRead")
    assert (caller.local, caller.uid, caller.address) == (True, 0, "local")


@pytest.mark.parametrize("access", _FOR_PEOPLE)
def test_an_operator_on_the_socket_opens_all_but_roots_routes(house: House, access: Access) -> None:
    if access is Access.ROOT:
        with pytest.raises(Denied, match="the caller's uid is 1000") as caught:
            house.admit(access, over_socket(1000))
        assert caught.value.code == "root-only"
    else:
        assert house.admit(access, over_socket(1000)).uid == 1000


@pytest.mark.parametrize("uid", [0, 1000])
def test_what_heads_tell_each_other_of_themselves_nobody_on_the_socket_tells_for_them(house: House, uid: int) -> None:
    with pytest.raises(Denied) as caught:
        house.admit(Access.OTHER_HEAD, over_socket(uid))
    assert caught.value.code == "heads-only"


def test_an_address_is_not_enough_where_a_head_speaks_for_itself(house: House) -> None:
    assert house.admit(Access.KNOWN_HEAD, over_tcp()).known_by == "address"
    with pytest.raises(Denied) as caught:
        house.admit(Access.OTHER_HEAD, over_tcp())
    assert caught.value.code == "not-a-known-head"


def test_the_peer_behind_a_socket_is_asked_for_once_a_connection(house: House) -> None:
    request = over_socket(1000)
    callers = {id(house.admit(Access.LOCAL, request)) for _ in range(3)}
    assert len(callers) == 1
    assert request.transport
    assert request.transport.facts["socket"].asked == 1


@pytest.mark.parametrize("access", [Access.LOCAL, Access.ROOT])
def test_no_token_and_no_known_head_opens_a_local_route_over_tcp(house: House, access: Access) -> None:
    with pytest.raises(Denied, match="Unix socket") as caught:
        house.admit(access, over_tcp(f"Bearer {house.token()}"))
    assert caught.value.code == "local-only"


def test_a_public_route_asks_for_nothing(house: House) -> None:
    house.roster.now = Unavailable("damaged")
    caller = house.admit(Access.PUBLIC, over_tcp("Bearer junk"))
    assert (caller.local, caller.address, caller.subject, caller.head) == (False, "192.0.2.9", None, None)


def test_a_token_with_the_permission_opens_a_token_route(house: House) -> None:
    for scheme in ("Bearer", "bearer", "BEARER"):
        caller = house.admit(Access.TOKEN, over_tcp(f"{scheme} {house.token()}"), "HeadsRead")
        assert (caller.subject, caller.head, caller.local) == ("alice", None, False)


@pytest.mark.parametrize(
    "authorization",
    [
        [],
        ["Bearer"],
        ["Bearer "],
        ["Basic cm9vdDpyb290"],
        ["junk"],
        [""],
        ["Bearer a.b.c", "Bearer a.b.c"],
        ["Bearer x"],
    ],
)
def test_without_a_token_in_its_header_a_token_route_is_401(house: House, authorization: list[str]) -> None:
    with pytest.raises(Unauthenticated):
        house.admit(Access.TOKEN, over_tcp(*authorization), "HeadsRead")


@pytest.mark.parametrize("permission", ["HeadsWrite", "headsread", None])
def test_a_token_without_the_permission_is_403_and_the_permission_is_named(
    house: House, permission: str | None
) -> None:
    with pytest.raises(Denied, match=str(permission)) as caught:
        house.admit(Access.TOKEN, over_tcp(f"Bearer {house.token()}"), permission)
    assert caught.value.code == "permission"


def test_a_known_head_opens_no_token_route(house: House) -> None:
    assert house.admit(Access.KNOWN_HEAD, over_tcp()).head == PEER
    with pytest.raises(Unauthenticated):
        house.admit(Access.TOKEN, over_tcp(), "HeadsRead")


def test_a_token_opens_no_known_head_route_and_the_refusal_says_so(house: House) -> None:
    with pytest.raises(Denied, match="a token does not open it") as caught:
        house.admit(Access.KNOWN_HEAD, over_tcp(f"Bearer {house.token()}", peer="192.0.2.77"))
    assert caught.value.code == "not-a-known-head"


def test_a_forwarded_header_is_nobodys_address(house: House) -> None:
    request = over_tcp(peer="192.0.2.77")
    request.headers.extend({"X-Forwarded-For": "192.0.2.9", "Forwarded": "for=192.0.2.9", "X-Real-IP": "192.0.2.9"})
    with pytest.raises(Denied):
        house.admit(Access.KNOWN_HEAD, request)


@pytest.mark.parametrize("peer", ["192.0.2.9", "::ffff:192.0.2.9"])
def test_a_head_known_by_address_is_let_in_and_the_audit_learns_how(house: House, peer: str) -> None:
    caller = house.admit(Access.KNOWN_HEAD, over_tcp(peer=peer))
    assert (caller.head, caller.known_by, caller.address) == (PEER, "address", "192.0.2.9")


def test_the_audit_can_tell_tokens_of_one_subject_apart(house: House) -> None:
    caller = house.admit(Access.TOKEN, over_tcp(f"Bearer {house.token(jti='t-7')}"), "HeadsRead")
    assert (caller.subject, caller.token_id) == ("alice", "t-7")


def test_a_refusal_for_lack_of_a_permission_names_whose_token_it_was(house: House) -> None:
    with pytest.raises(Denied, match="token of alice"):
        house.admit(Access.TOKEN, over_tcp(f"Bearer {house.token()}"), "HeadsWrite")


def test_what_is_remembered_of_a_connection_ends_with_the_members_and_the_configuration(house: House) -> None:
    request = over_tcp()
    assert house.admit(Access.KNOWN_HEAD, request).head == PEER
    before = house.roster.now
    house.roster.now = members()
    with pytest.raises(Denied):
        house.admit(Access.KNOWN_HEAD, request)
    house.roster.now = before
    assert house.admit(Access.KNOWN_HEAD, request).head == PEER
    house.live.config = replace(house.live.config, access=AccessConfig(known_heads=("certificate",)))
    with pytest.raises(Denied, match="certificate: "):
        house.admit(Access.KNOWN_HEAD, request)


def test_without_the_database_token_and_known_head_routes_are_503_but_no_token_is_still_401(house: House) -> None:
    house.roster.now = Unavailable("damaged")
    with pytest.raises(Unavailable):
        house.admit(Access.KNOWN_HEAD, over_tcp())
    with pytest.raises(Unavailable):
        house.admit(Access.TOKEN, over_tcp("Bearer a.b.c"), "HeadsRead")
    with pytest.raises(Unauthenticated):
        house.admit(Access.TOKEN, over_tcp(), "HeadsRead")


def test_a_connection_that_is_gone_is_not_let_in(house: House) -> None:
    with pytest.raises(Denied):
        house.admit(Access.PUBLIC, Request(None))
