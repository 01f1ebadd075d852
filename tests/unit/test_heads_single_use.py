"""A token for one head lets in one, whichever way a second one tries."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent import __version__
from agent.errors import Conflict, Denied, NotFound, Unavailable
from agent.heads.beat import PROTOCOL
from agent.heads.introduction import JoinRequest, Welcome
from agent.heads.single_use import single_use
from agent.heads.tokens import Claims, check_permission
from agent.model import Kind
from tests.support.memory_store import MemoryStore
from tests.support.moving import MovingHead
from tests.support.pki import authority
from tests.support.ssh import pair


def token(host: MovingHead, number: int = 1, *permissions: str) -> Claims:
    """What a token for one head says, made by that host."""
    ends = datetime(2100, 1, 1, tzinfo=UTC)
    return Claims(host.uid, "join", frozenset(permissions or ("HeadsJoin",)), ends, token_id=f"{number:016x}")


async def cluster(directory: Path) -> MovingHead:
    """A head that lets others in."""
    return await MovingHead(1, directory).start()


async def admitted(host: MovingHead, number: int, claims: Claims | None, key: str = "") -> Welcome:
    """Have it let in the head of that number."""
    asked = JoinRequest(
        uid=f"{number:032d}",
        ssh_public=pair("ed25519", number).public,
        request=key or f"key of {number}",
        time=host.clock.now(),
        version=__version__,
        protocol=PROTOCOL,
        engines=("sqlite", "etcd"),
        url=f"https://192.0.2.{number}:52390",
        peer_url=f"https://192.0.2.{number}:52392",
    )
    return await host.admission.admit(asked, claims)


async def refused(host: MovingHead, number: int, claims: Claims) -> str:
    """The word with which that is refused."""
    with pytest.raises(Denied) as denied:
        await admitted(host, number, claims)
    return denied.value.code


def heads(host: MovingHead) -> list[int]:
    """The numbers of the heads in the cluster."""
    return sorted(int(uid) for uid in host.registry.members.heads)


async def test_it_lets_in_one_head_which_may_ask_again(tmp_path: Path) -> None:
    host = await cluster(tmp_path)
    once = token(host)
    await admitted(host, 2, once)
    before = host.store.revision

    assert await refused(host, 3, once) == "token-used"
    await admitted(host, 2, once)

    assert heads(host) == [1, 2]
    assert host.store.revision == before
    await admitted(host, 3, token(host, 2))
    assert heads(host) == [1, 2, 3]


async def test_one_with_administration_lets_in_any_number(tmp_path: Path) -> None:
    host = await cluster(tmp_path)
    many = single_use(token(host, 1, "HeadsWrite", "HeadsJoin"))
    for number in (2, 3):
        await admitted(host, number, many)
    assert heads(host) == [1, 2, 3]


async def test_the_removed_head_does_not_come_back_with_it_nor_does_another(tmp_path: Path) -> None:
    host = await cluster(tmp_path)
    first, second = token(host, 1), token(host, 2)
    await admitted(host, 2, first)
    await host.directory.remove(f"{2:032d}", force=True)

    assert await refused(host, 2, first) == "token-used"
    assert await refused(host, 3, first) == "token-used"

    await admitted(host, 2, second)  # its record has the place of the tombstone now
    assert await refused(host, 3, first) == "token-used"


@pytest.mark.parametrize("wanted", [{"addresses": ["192.0.2.2"]}, {"ca_pem": authority().pem}])
async def test_it_changes_nothing_for_a_head_that_is_recognised_by_a_record_of_an_administrators(
    tmp_path: Path, wanted: dict[str, object]
) -> None:
    host = await cluster(tmp_path)
    uid, ssh_public = f"{2:032d}", pair("ed25519", 2).public
    before = await host.directory.register({"uid": uid, "ssh_public": ssh_public, **wanted})

    with pytest.raises(Conflict, match="registered by hand") as refusal:
        await admitted(host, 2, token(host))

    assert refusal.value.code == "uid-taken"
    after = await host.store.get(Kind.HEAD, uid)
    assert after is not None
    assert after.body == before.body
    await admitted(host, 2, single_use(token(host, 2, "HeadsWrite")))


async def test_a_join_that_failed_inside_the_cluster_has_not_used_it(tmp_path: Path) -> None:
    host = await cluster(tmp_path)
    host.failing["invite"] = Unavailable("no quorum", code="no-quorum")
    with pytest.raises(Unavailable):
        await admitted(host, 2, token(host))
    host.failing.clear()

    await admitted(host, 3, token(host))

    assert heads(host) == [1, 3]


async def test_the_newcomer_takes_it_back_until_it_has_shown_itself_a_member(tmp_path: Path) -> None:
    host = await cluster(tmp_path)
    once = token(host)
    with pytest.raises(NotFound):
        await host.admission.withdraw(once)
    await admitted(host, 2, once)

    assert await host.admission.withdraw(once) == f"{2:032d}"

    assert heads(host) == [1]
    await admitted(host, 3, once)
    host.admission.proved(f"{3:032d}")
    with pytest.raises(NotFound):
        await host.admission.withdraw(once)
    assert heads(host) == [1, 3]


async def test_with_it_goes_the_engines_member_that_was_made_for_the_newcomer_and_never_started(tmp_path: Path) -> None:
    host = await cluster(tmp_path)
    once = token(host)
    await admitted(host, 2, once)
    uid = f"{2:032d}"
    peer_url = f"https://{uid}"
    await host.directory.patch(uid, {"peer_url": peer_url})
    host.engine.coming, host.engine.started = [uid, f"{3:032d}"], False

    await host.admission.withdraw(once)

    assert host.engine.dismissed == [f"not started: {peer_url}"]


async def test_it_is_not_taken_back_from_a_head_that_showed_itself_while_that_waited_for_its_turn(
    tmp_path: Path,
) -> None:
    host = await cluster(tmp_path)
    once = token(host)
    await admitted(host, 2, once)

    host.engine.free.clear()
    other = asyncio.create_task(admitted(host, 3, token(host, 2)))
    withdrawal = asyncio.create_task(host.admission.withdraw(once))
    await asyncio.sleep(0)
    host.admission.proved(f"{2:032d}")
    host.engine.free.set()

    with pytest.raises(NotFound):
        await withdrawal
    await other
    assert heads(host) == [1, 2, 3]


async def test_two_heads_that_let_in_at_a_time_do_not_both_take_it(tmp_path: Path) -> None:
    store = MemoryStore()
    hosts = [await MovingHead(number, tmp_path / str(number), store=store).start() for number in (1, 2)]
    for host in hosts:
        host.engine.name = store.kind = "etcd"
        await host.registry.load()
    once = token(hosts[0])

    done = await asyncio.gather(
        *(admitted(host, number, once) for host, number in zip(hosts, (3, 4), strict=True)), return_exceptions=True
    )

    assert sorted(type(one).__name__ for one in done) == ["Denied", "Welcome"]
    assert len(await store.records(Kind.HEAD)) == 3


async def test_without_a_shared_database_only_its_maker_takes_it(tmp_path: Path) -> None:
    host, other = await cluster(tmp_path), MovingHead(9, tmp_path)
    assert await refused(host, 2, token(other)) == "token-elsewhere"
    host.engine.name = host.store.kind = "etcd"
    await admitted(host, 2, token(other))


async def test_one_without_a_name_is_good_for_nothing(tmp_path: Path) -> None:
    host = await cluster(tmp_path)
    nameless = Claims(host.uid, "join", frozenset(["HeadsJoin"]), datetime(2100, 1, 1, tzinfo=UTC))
    assert await refused(host, 2, nameless) == "token-used"


async def test_it_opens_nothing_but_the_door(tmp_path: Path) -> None:
    once = token(await cluster(tmp_path))
    check_permission(once, "HeadsJoin")
    for permission in ("HeadsRead", "HeadsWrite", "ImagesRead", None):
        with pytest.raises(Denied):
            check_permission(once, permission)
