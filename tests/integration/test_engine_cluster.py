"""Several heads with one etcd: coming in, going out, and what is left when its quorum is gone."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.adapters.etcd.engine import HeadEngine
from agent.adapters.etcd.membership import A_SECOND
from agent.errors import Conflict, Unavailable
from agent.model import OBJECT_KINDS, Head, Kind
from agent.ports import Put
from tests.support.engine_heads import EngineHead, EngineHeads, held, sample
from tests.support.pki import authority
from tests.support.waiting import wait_for


@pytest.fixture
async def heads(tmp_path: Path) -> AsyncIterator[EngineHeads]:
    made = EngineHeads(tmp_path)
    yield made
    await made.end()


async def _joined(stack: contextlib.AsyncExitStack, first: HeadEngine, head: EngineHead) -> HeadEngine:
    """The engine of a head that has come into the first one's cluster."""
    engine = await stack.enter_async_context(head.agent())
    await engine.attach(await first.invite(head.uid, head.peer_url))
    return engine


async def _reconciled_for_ever(engine: HeadEngine) -> None:
    while True:
        await engine.reconcile()


def _put(number: int) -> Put:
    return Put(Kind.REPO, f"{number:032d}", {"name": f"r{number}"}, f"r{number}")


async def test_three_heads_share_one_etcd_and_one_of_them_leaves_it(heads: EngineHeads) -> None:
    one, two, three = heads.add(), heads.add(), heads.add()
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(one.agent())
        await first.store.commit(*sample(20))
        before = await held(first)
        await first.found("etcd")

        second = await _joined(stack, first, two)
        third = await _joined(stack, second, three)

        members = await first.members()
        assert [(m.head, m.voter, m.healthy) for m in members] == [(h.uid, True, True) for h in heads.made]
        assert await held(third) == before
        await first.store.commit(_put(1))
        await third.store.commit(_put(2))
        for engine in (first, second, third):  # nothing needs to be restarted for having come in
            await engine.reconcile()
        assert [head.units.starts for head in heads.made] == [1, 1, 1]

        kept = [record for kind in Kind for record in await third.store.records(kind)]
        await third.dismiss(three.uid)
        await third.found("sqlite", kept)
        assert len(await held(third)) == len(before) + 2
        assert [member.head for member in await first.members()] == [one.uid, two.uid]
        await first.store.commit(_put(3))


async def test_coming_in_again_after_a_failure_begins_anew(heads: EngineHeads) -> None:
    one, two = heads.add(), heads.add()
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(one.agent())
        await first.store.commit(*sample(1))
        await first.found("etcd")
        second = await stack.enter_async_context(two.agent())
        await second.store.commit(_put(1))
        attachment = await first.invite(two.uid, two.peer_url)
        two.units.installed = False
        with pytest.raises(Unavailable):
            await second.attach(attachment)
        assert second.kind == "sqlite"
        assert await second.store.get(Kind.REPO, f"{1:032d}")

        two.units.installed = True
        await second.attach(await first.invite(two.uid, two.peer_url))

        assert second.kind == "etcd"
        assert [member.head for member in await first.members() if member.voter] == [one.uid, two.uid]


async def test_a_newcomer_of_which_the_member_that_it_asks_has_not_heard_yet_asks_again(heads: EngineHeads) -> None:
    one, two = heads.add(), heads.add()
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(one.agent())
        await first.found("etcd")
        second = await stack.enter_async_context(two.agent())
        attachment = await first.invite(two.uid, two.peer_url)
        await first.dismiss(f"not started: {two.peer_url}")
        another_id = time.time() + A_SECOND

        async with asyncio.TaskGroup() as group:
            coming = group.create_task(second.attach(attachment))
            # Each time etcd says that the member count is unequal, and ends.
            await wait_for(lambda: two.units.starts > 1 and time.time() > another_id)
            assert not coming.done()
            await first.invite(two.uid, two.peer_url)

        assert [member.head for member in await first.members() if member.voter] == [one.uid, two.uid]


async def test_a_newcomer_with_the_url_of_another_heads_member_is_refused_and_that_member_stays(
    heads: EngineHeads,
) -> None:
    one, two, three = heads.add(), heads.add(), heads.add()
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(one.agent())
        await first.found("etcd")
        await _joined(stack, first, two)

        with pytest.raises(Conflict) as caught:
            await first.invite(three.uid, two.peer_url)

        assert caught.value.code == "peer-url-taken"
        assert [member.head for member in await first.members()] == [one.uid, two.uid]


async def test_a_newcomer_has_no_vote_before_its_next_start_would_use_it(heads: EngineHeads) -> None:
    one, two = heads.add(), heads.add()
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(one.agent())
        await first.store.commit(*sample(1))
        await first.found("etcd")
        second = await stack.enter_async_context(two.agent())
        in_the_way = two.directory / ".engine.json.new"
        in_the_way.mkdir()

        with pytest.raises(Unavailable, match=r"engine\.json"):
            await second.attach(await first.invite(two.uid, two.peer_url))

        assert (second.kind, two.units.running) == ("sqlite", False)
        await first.store.commit(_put(1))  # one vote of one, where two would need both
        in_the_way.rmdir()
        await second.attach(await first.invite(two.uid, two.peer_url))
        assert [member.head for member in await first.members() if member.voter] == [one.uid, two.uid]


async def test_a_head_whose_member_was_dismissed_while_it_came_back_comes_in_anew_and_a_removed_one_does_not(
    heads: EngineHeads,
) -> None:
    one, two = heads.add(), heads.add()
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(one.agent())
        await first.store.commit(*sample(1))
        await first.found("etcd")
        second = await _joined(stack, first, two)
        await first.dismiss(two.uid)
        with pytest.raises(Unavailable):
            await _reconciled_for_ever(second)
        assert [member.head for member in await first.members()] == [one.uid]

        await first.store.commit(Put(Kind.HEAD, two.uid, {"ssh_public": "key"}))

        async with asyncio.timeout(20):
            while [member.head for member in await first.members() if member.voter] != [one.uid, two.uid]:
                with contextlib.suppress(Unavailable):
                    await second.reconcile()
        await second.store.commit(_put(1))


async def test_a_member_whose_data_are_gone_is_begun_anew_and_no_more_often_than_that_helps(heads: EngineHeads) -> None:
    one, two, three = heads.add(), heads.add(), heads.add()
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(one.agent())
        await first.store.commit(*sample(1), *(Put(Kind.HEAD, h.uid, {"ssh_public": "key"}) for h in heads.made))
        await first.found("etcd")
        await _joined(stack, first, two)
        third = await _joined(stack, first, three)

        async def lose() -> str:
            (data,) = [path for path in three.directory.glob("etcd-*") if path.is_dir() and ".before-" not in path.name]
            await three.units.end(signal.SIGKILL)
            shutil.rmtree(data)
            return data.name

        lost = await lose()
        async with asyncio.timeout(60):
            while [m.healthy for m in await first.members() if m.voter] != [True] * 3:
                with contextlib.suppress(Unavailable):
                    await third.reconcile()
        assert lost not in three.names()
        assert third.problem is None
        await third.store.commit(_put(1))

        await lose()
        three.units.installed = False
        with pytest.raises(Unavailable):
            await third.reconcile()
        tried = await first.members()
        with pytest.raises(Unavailable):
            await third.reconcile()
        assert "member is lost" in str(third.problem)
        assert await first.members() == tried
        three.units.installed = True


Held = dict[tuple[str, str], tuple[object, object]]


def _objects(held: Held) -> Held:
    """What outlives a cluster: not its id, nor who was in it."""
    return {key: value for key, value in held.items() if key[0] in OBJECT_KINDS}


async def _cluster_of(engine: HeadEngine) -> tuple[object, object]:
    return (await held(engine))[Kind.CLUSTER, "cluster"]


async def test_a_rescued_head_has_all_objects_and_is_alone_in_a_new_cluster(heads: EngineHeads) -> None:
    one, two = heads.add(), heads.add()
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(one.agent())
        await first.store.commit(*sample(20))
        await first.found("etcd")
        async with contextlib.AsyncExitStack() as others:
            await _joined(others, first, two)
            await first.store.commit(_put(1))
            before = await held(first)
            await two.units.end(signal.SIGKILL)
        async with asyncio.timeout(20):
            while first.store.problem is None:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        with pytest.raises(Unavailable):
            await first.store.commit(_put(2))

        await first.rescue()

        assert _objects(await held(first)) == _objects(before)
        assert await _cluster_of(first) != before[Kind.CLUSTER, "cluster"]
        assert [member.head for member in await first.members()] == [one.uid]
        await first.store.commit(_put(2))
    async with one.agent() as first:
        await first.reconcile()
        assert len(_objects(await held(first))) == len(_objects(before)) + 1


async def test_a_head_whose_own_member_is_lost_is_rescued_from_its_copy(heads: EngineHeads) -> None:
    head = heads.add()
    async with head.agent() as engine:
        await engine.store.commit(*sample(20))
        await engine.found("etcd")
        before = await held(engine)
    await head.units.end(signal.SIGKILL)
    for file in head.directory.glob("etcd-*/member/**/*"):
        if file.is_file():
            file.write_bytes(b"damage")

    async with head.agent() as engine:
        assert await held(engine) == before  # stale, from the copy
        assert engine.store.age is not None

        await engine.rescue()

        assert _objects(await held(engine)) == _objects(before)
        assert engine.store.age is None


async def test_a_backup_takes_the_place_of_a_copy_that_is_damaged_and_what_the_own_member_holds_is_newer(
    heads: EngineHeads, tmp_path: Path
) -> None:
    head = heads.add()
    async with head.agent() as engine:
        await engine.store.commit(*sample(20))
        await engine.found("etcd")
        await engine.store.backup(tmp_path / "backup.db")
        await engine.store.commit(_put(1))
        before = await held(engine)
    await head.units.end(signal.SIGKILL)
    (copy,) = head.directory.glob("copy-*.db")
    copy.write_bytes(b"damage")
    async with head.agent() as engine:
        with pytest.raises(Unavailable, match="no copy"):
            await held(engine)
    shutil.copy(tmp_path / "backup.db", copy)

    async with head.agent() as engine:
        await engine.rescue()

        assert _objects(await held(engine)) == _objects(before)


async def test_a_head_beyond_the_voters_uses_their_etcd_and_stands_in_when_one_leaves(heads: EngineHeads) -> None:
    one, two = heads.add(), heads.add()
    one.voters = two.voters = 1
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(one.agent())
        await first.store.commit(*sample(5))
        await first.found("etcd")

        second = await _joined(stack, first, two)

        before = await held(first)
        assert await held(second) == before
        await second.store.commit(_put(1))
        assert len(await held(second)) == len(before) + 1
        assert (second.kind, second.peer_url) == ("etcd", None)
        assert not two.units.running
        await second.reconcile()
        assert [member.head for member in await second.members()] == [one.uid]
    two.voters = 2  # as if there had been two, and one had left
    async with one.agent() as first, two.agent() as second:
        await second.reconcile()

        assert [(m.head, m.voter) for m in await first.members()] == [(one.uid, True), (two.uid, True)]
        assert second.peer_url == two.peer_url
        await second.store.commit(_put(2))


async def test_another_ca_has_members_restart_one_after_the_other(heads: EngineHeads) -> None:
    one, two, three = heads.add(), heads.add(), heads.add()
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(one.agent())
        await first.store.commit(*sample(1))
        await first.found("etcd")
        engines = [first, await _joined(stack, first, two), await _joined(stack, first, three)]
        believed = await first.believed()
        other = authority("the next CA").pem
        for uid, head in heads.heads.items():
            heads.heads[uid] = Head(head.ssh_public, ca_pem=f"{head.ca_pem}{other}")

        async with asyncio.timeout(40):
            while {believed, ""} & {await engine.believed() for engine in engines}:
                for engine in engines:
                    with contextlib.suppress(Unavailable):  # another has its turn, or is not back yet
                        await engine.reconcile()
                assert sum(bool(member.healthy) for member in await first.members()) >= 2

        assert [head.units.starts for head in heads.made] == [2, 2, 2]
        assert len({await engine.believed() for engine in engines}) == 1
        await first.store.commit(_put(1))
        await three.units.end(signal.SIGKILL)
        assert await engines[2].believed() == ""  # whatever its files say
