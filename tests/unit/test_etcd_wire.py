"""The gateway's messages and endpoints, without any etcd."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from agent.adapters.etcd.endpoints import PENALTY, Endpoints, usable
from agent.adapters.etcd.errors import Again, Compacted, NoSpace, judged
from agent.adapters.etcd.watch import lines
from agent.adapters.etcd.wire import prefix_end
from agent.errors import AgentError, Conflict, Denied, Failed, NotFound, TooLarge, Unavailable
from tests.support.clock import StillClock

ONE, TWO, THREE = "http://10.0.0.1:1", "http://10.0.0.2:1", "http://10.0.0.3:1"


@pytest.mark.parametrize(
    ("prefix", "end"), [(b"a/", b"a0"), (b"a\xff", b"b"), (b"\xff\xff", b"\0"), (b"", b"\0"), (b"ab\xff\xff", b"ac")]
)
def test_the_end_of_a_prefix_is_the_first_key_after_all_that_begin_with_it(prefix: bytes, end: bytes) -> None:
    assert prefix_end(prefix) == end


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (503, b'{"error":"etcdserver: request timed out","code":14}', Again),
        (503, b'{"error":"etcdserver: request timed out, possibly due to previous leader failure","code":14}', Again),
        (503, b'{"error":"etcdserver: no leader","code":14}', Again),
        (503, b'{"error":"etcdserver: leader changed","code":14}', Again),
        (500, b'{"error":"etcdserver: leader changed","code":2}', Again),
        (429, b'{"error":"etcdserver: too many requests","code":8}', Again),
        (502, b"<html>Bad Gateway</html>", Again),
        (500, b'{"error":"OK: HTTP status code 200; transport: missing content-type field","code":2}', Again),
        (503, b'{"error":"etcdserver: unhealthy cluster","code":14}', Unavailable),
        (400, b'{"error":"etcdserver: mvcc: required revision has been compacted","code":11}', Compacted),
        (429, b'{"error":"etcdserver: mvcc: database space exceeded","code":8}', NoSpace),
        (429, b'{"error":"trying to send message larger than max (3 vs. 2)","code":8}', TooLarge),
        (400, b'{"error":"etcdserver: request is too large","code":3}', TooLarge),
        (404, b'{"error":"etcdserver: member not found","code":5}', NotFound),
        (400, b'{"error":"etcdserver: Peer URLs already exists","code":9}', Conflict),
        (403, b'{"error":"etcdserver: permission denied","code":7}', Denied),
        (401, b'{"error":"etcdserver: invalid auth token","code":16}', Denied),
        (200, b'{"error":{"grpc_code":14,"http_code":503,"message":"transport is closing"}}', Again),
        (404, b"Not Found\n", Failed),
        (400, b"Client sent an HTTP request to an HTTPS server.\n", Failed),
    ],
)
def test_each_refusal_is_what_it_means(status: int, body: bytes, kind: type[Again | AgentError]) -> None:
    assert type(judged(status, body)) is kind


def test_the_first_endpoint_is_asked_until_it_fails_and_again_when_it_is_well() -> None:
    clock = StillClock()
    endpoints = Endpoints([ONE, TWO], clock)
    assert endpoints.best == ONE
    endpoints.failed(ONE)
    assert endpoints.best == TWO
    assert endpoints.due == []
    clock.move(PENALTY)
    assert (endpoints.best, endpoints.due) == (TWO, [ONE])
    endpoints.answered(ONE)
    assert (endpoints.best, endpoints.due) == (ONE, [])


def test_when_all_have_failed_they_are_asked_in_turn() -> None:
    clock = StillClock()
    endpoints = Endpoints([ONE, TWO, THREE], clock)
    asked = []
    for _ in range(6):
        clock.move(1)
        asked.append(endpoints.best)
        endpoints.failed(endpoints.best)
    assert asked == [ONE, TWO, THREE, ONE, TWO, THREE]


def test_what_members_say_of_themselves_is_learned_and_the_configured_stay() -> None:
    endpoints = Endpoints([ONE], StillClock())
    endpoints.learn([ONE + "/", TWO, "http://0.0.0.0:1", "", "http://localhost:1"])
    assert endpoints.all == (ONE, TWO)
    endpoints.failed(TWO)
    endpoints.learn([THREE])
    assert endpoints.all == (ONE, THREE)


def test_a_loopback_url_is_usable_only_where_all_are_on_this_host() -> None:
    assert usable("http://127.0.0.2:1", ["http://127.0.0.1:1"])
    assert not usable("http://127.0.0.2:1", [ONE])
    assert not usable("http://[::]:1", ["http://[::1]:1"])
    assert usable("http://head2:1", [ONE])


async def test_lines_are_put_together_from_chunks_of_any_size_and_the_end_is_told() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in (b"on", b"e\ntwo\n", b"\n", b"thr", b"ee", b"\nfour"):
            yield chunk

    found = lines(chunks())
    assert [await anext(found) for _ in range(3)] == [b"one", b"two", b"three"]
    with pytest.raises(Again):
        await anext(found)
