"""The client of the JSON gateway: what it reads, whom it leaves, whom it refuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from agent.adapters.clock import SystemClock
from agent.adapters.etcd.client import EtcdClient
from agent.adapters.etcd.cluster import Cluster
from agent.adapters.etcd.errors import Again, Compacted, NoQuorum
from agent.adapters.etcd.store import EtcdStore
from agent.adapters.etcd.wire import Ranged, put
from agent.errors import Conflict, Failed, NotFound, TooLarge, Unavailable
from agent.model import Kind
from agent.ports import Put
from tests.support.etcd import Etcd, etcd, one_etcd
from tests.support.etcd_relay import relaying
from tests.support.waiting import wait_for

__all__ = ["one_etcd"]

NOBODY = "http://127.0.0.1:1"


@asynccontextmanager
async def client_of(cluster: Etcd, *urls: str, cluster_id: int | None = None) -> AsyncIterator[EtcdClient]:
    client = cluster.client(urls or None, cluster_id)
    try:
        yield client
    finally:
        await client.close()


async def write(client: EtcdClient, key: bytes, value: bytes) -> None:
    await client.txn(client.endpoints.best, [], [put(key, value)], [])


async def test_what_is_at_its_default_and_left_out_is_read_as_such(one_etcd: Etcd) -> None:
    async with client_of(one_etcd) as client:
        await write(client, b"empty", b"")
        found = await client.range(b"empty")
        assert [(kv.key, kv.value) for kv in found.kvs] == [(b"empty", b"")]
        nothing = await client.range(b"nothing")
        assert (nothing.kvs, nothing.count, nothing.more) == ((), 0, False)
        assert nothing.header.revision >= 2


async def test_a_member_that_is_not_there_is_left_at_once_and_tried_again_later(one_etcd: Etcd) -> None:
    async with client_of(one_etcd, NOBODY, *one_etcd.urls) as client:
        await client.range(b"a")
        assert client.endpoints.best == one_etcd.urls[0]
        assert not client.endpoints.trusted(NOBODY)
        assert client.endpoints.due == []


async def test_nobody_there_is_no_quorum_with_the_way_out(one_etcd: Etcd) -> None:
    async with client_of(one_etcd, NOBODY) as client:
        with pytest.raises(NoQuorum, match=r"Connection refused.*database recover") as refused:
            await client.call("kv/range", {"key": b"a"}, Ranged, deadline=0.2)
        assert refused.value.code == "no-quorum"


async def test_an_etcd_before_3_4_is_refused_in_clear_words(one_etcd: Etcd) -> None:
    async with relaying(one_etcd.urls[0]) as relay, client_of(one_etcd, relay.url) as client:
        relay.version = "3.3.27"
        with pytest.raises(Unavailable, match=r"version 3\.3\.27: 3\.4 or newer is needed"):
            await client.call("kv/range", {"key": b"a"}, Ranged, deadline=0.1)
        relay.version = "3.10.0"
        await client.range(b"a")


async def test_an_etcd_of_another_cluster_is_refused(one_etcd: Etcd) -> None:
    async with client_of(one_etcd, cluster_id=7) as client:
        with pytest.raises(Unavailable, match="belongs to another cluster"):
            await client.call("kv/range", {"key": b"a"}, Ranged, deadline=0.1)


async def test_a_member_left_in_an_earlier_term_is_not_believed(one_etcd: Etcd) -> None:
    async with client_of(one_etcd) as client:
        header = (await client.range(b"a")).header
        newer = type(header)(header.cluster_id, header.member_id, header.revision, header.raft_term + 1)
        client.admit("elsewhere", newer)
        with pytest.raises(Again, match="term"):
            await client.attempt(client.endpoints.best, "kv/range", {"key": b"a"}, Ranged)


async def test_refusals_have_their_own_kinds(one_etcd: Etcd) -> None:
    async with client_of(one_etcd) as client:
        cluster = Cluster(client)
        for n in range(3):
            await write(client, b"a", b"%d" % n)
        newest = (await client.range(b"a")).header.revision
        await cluster.compact(newest)
        await cluster.compact(newest)  # again: no failure
        with pytest.raises(Compacted):
            await client.range(b"a", revision=newest - 1)
        with pytest.raises(Conflict) as refused:
            await client.range(b"a", revision=newest + 10)
        assert refused.value.code == "future-revision"
        with pytest.raises(TooLarge):
            await write(client, b"a", b"x" * 2**21)
        with pytest.raises(NotFound):
            await cluster.member_promote(7)
        with pytest.raises(Failed, match="refuses"):
            await client.call("no/such/path", {}, Ranged)
        await cluster.member_remove(7)  # what is gone already is no failure


async def test_members_learn_leave_and_are_told_apart() -> None:
    with etcd(heartbeat=20, election=200) as one:
        member = one.members[0]
        async with client_of(one) as client:
            cluster = Cluster(client)
            added = await cluster.member_add("http://127.0.0.1:7")
            assert added.learner
            assert await cluster.member_add("http://127.0.0.1:7") == added  # twice is once
            assert [(m.name, m.client_urls) for m in await cluster.member_list() if m.id == added.id] == [("", ())]
            assert not await cluster.member_promote(added.id)  # it has never started
            await cluster.member_update(added.id, "http://127.0.0.1:8")
            await cluster.member_remove(added.id)
            (own,) = await cluster.member_list()
            assert (own.name, own.peer_urls) == (member.name, (member.peer_url,))
            assert await cluster.member_promote(own.id)  # it has its vote
            status = await cluster.status(member.url)
            assert (status.leader, status.version) == (own.id, "3.4.23")
            await cluster.defragment(member.url)
            assert await cluster.alarms() == ()


async def test_a_client_without_the_clusters_certificate_is_not_let_in() -> None:
    with etcd(heartbeat=20, election=200, tls=True) as one:
        async with client_of(one) as client:
            await client.range(b"a")
        stranger = EtcdClient(one.urls, lambda: None, SystemClock())
        try:
            with pytest.raises(NoQuorum, match=r"TLS fails: .*self-signed|TLS fails: .*issuer certificate"):
                await stranger.call("kv/range", {"key": b"a"}, Ranged, deadline=0.1)
        finally:
            await stranger.close()


async def test_when_the_data_were_replaced_under_the_agent_its_records_are_kept_and_nothing_is_written() -> None:
    with etcd(heartbeat=20, election=200) as one:
        member = one.members[0]
        async with client_of(one) as client, EtcdStore.open(client, "a" * 32, SystemClock()) as store:
            await store.commit(Put(Kind.IMAGE, "a" * 32, {}))
            member.kill()
            member.options = (*member.options, "--initial-cluster-token=another")
            member.name = "other"
            one.start(member)
            with pytest.raises(Unavailable, match="another cluster"):
                await store.commit(Put(Kind.IMAGE, "b" * 32, {}))
            assert len(await store.records(Kind.IMAGE)) == 1


async def test_a_write_that_is_lost_with_its_leader_is_given_up_once_there_is_another() -> None:
    """However long it was to be waited for; and the member that was asked is not to blame."""
    with etcd(3, heartbeat=50, election=300) as three:
        async with client_of(three) as looking:
            leader = await three.leader(looking)
        follower = next(member for member in three.members if member is not leader)
        async with relaying(follower.url) as relay, client_of(three, relay.url) as client:
            await client.range(b"a")
            relay.hold = 1
            writing = asyncio.ensure_future(client.txn(relay.url, [], [put(b"a", b"1")], [], seconds=600))
            await wait_for(lambda: relay.late)
            leader.freeze()
            with pytest.raises(Again, match="another leader") as lost:
                await writing
            assert lost.value.sent
            assert client.endpoints.trusted(relay.url)
            await write(client, b"a", b"2")
            assert [kv.value for kv in (await client.range(b"a")).kvs] == [b"2"]
