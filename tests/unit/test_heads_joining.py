"""Joining: each refusal has its own word and sentence, each failure leaves both sides as they were."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.errors import AgentError, Conflict, Failed, Unavailable
from agent.model import Kind
from agent.ports import Put
from tests.support.moving import MovingHead, pem, refusal, sha256, two
from tests.support.peers import answered

NO_QUORUM = Unavailable("too few members are left to decide anything", code="no-quorum")


async def test_a_head_joins_and_both_sides_show_it(tmp_path: Path) -> None:
    first, second = await two(tmp_path)

    joined = await second.join()

    assert (joined.already, joined.by) == (False, first.uid)
    assert await second.shape() == await first.shape() == (joined.cluster, [first.uid, second.uid], "CA of 01")
    assert first.engine.invited == [second.uid]
    record = first.registry.members.heads[second.uid]
    assert (record.generation, record.key_sha256) == (1, second.credentials.key_sha256)
    assert [step.result for step in joined.steps] == ["done"] * len(joined.steps)


@pytest.mark.parametrize("word", ["certify", "invite"])
async def test_a_failure_inside_the_cluster_leaves_nothing_of_the_newcomer(tmp_path: Path, word: str) -> None:
    first, second = await two(tmp_path)
    before = await second.shape()
    first.failing[word] = NO_QUORUM

    assert (await refusal(second)).code == "no-quorum"

    assert list(first.registry.members.heads) == [first.uid]
    assert await second.shape() == before


@pytest.mark.parametrize("word", ["adopt", "settle 2"])
async def test_a_failure_after_it_was_let_in_undoes_both_sides(tmp_path: Path, word: str) -> None:
    first, second = await two(tmp_path)
    before = await second.shape()
    second.failing[word] = Unavailable("the disk is full")

    failed = await refusal(second)

    assert failed.reason.startswith("cannot join, at the step ")
    assert ": the disk is full; " in failed.reason
    assert failed.reason.endswith("; everything was undone")
    assert list(first.registry.members.heads) == [first.uid]
    assert await second.shape() == before
    second.failing.clear()
    await second.join()
    assert first.registry.members.heads[second.uid].generation == 2


async def test_one_that_the_cluster_does_not_recognise_goes_back(tmp_path: Path) -> None:
    first, second = await two(tmp_path)
    before = await second.shape()
    second.peers.away[first.uid] = "a firewall"

    failed = await refusal(second)

    assert failed.code == "unreachable"
    steps = {step.step: step.result for step in failed.data["steps"]}
    assert steps["prove the membership"] == "failed"
    assert await second.shape() == before
    assert list(first.registry.members.heads) == [first.uid]


async def test_a_wrong_hash_is_told_before_the_token_is_sent(tmp_path: Path) -> None:
    _, second = await two(tmp_path)

    assert (await refusal(second, ca_sha256="ab" * 32)).code == "wrong-ca"
    assert (await refusal(second, ca_sha256="abc")).code == "hash"

    assert second.door.tokens == []


async def test_what_somebody_in_between_says_of_the_cluster_does_not_count(tmp_path: Path) -> None:
    first, second = await two(tmp_path)
    first.engine.name = first.store.kind = "etcd"
    second.engine.shared = first.store
    await second.store.commit(Put(Kind.REPO, "r" * 32, {"name": "mine"}, "mine"))
    own = second.registry.members.cluster
    second.door.changed_on_the_way = {"cluster": own, "store": "sqlite", "uid": "x" * 32}

    assert (await refusal(second)).code == "has-objects"

    assert await second.store.get(Kind.REPO, "r" * 32)
    assert second.door.tokens == []


async def test_the_hash_may_be_written_as_openssl_does(tmp_path: Path) -> None:
    first, second = await two(tmp_path)
    digits = sha256(pem(first.credentials.ca)).upper()

    assert not (await second.join(ca_sha256=":".join(digits[i : i + 2] for i in range(0, 64, 2)))).already


async def test_clocks_that_are_far_apart_are_both_told(tmp_path: Path) -> None:
    first, second = await two(tmp_path)
    second.door.time = first.clock.now() + timedelta(seconds=61)

    refused = await refusal(second)

    assert refused.code == "clock"
    assert "12:00:00" in refused.reason
    assert "12:01:01" in refused.reason
    assert second.door.tokens == []


@pytest.mark.parametrize(
    ("status", "code", "kind"), [(401, "expired", "Denied"), (401, "unauthenticated", "Denied"), (404, "x", "Failed")]
)
async def test_what_the_cluster_has_against_the_token_is_told_in_its_words(
    tmp_path: Path, status: int, code: str, kind: str
) -> None:
    _, second = await two(tmp_path)
    second.door.refusal = answered(status=status, reason="the token has expired", code=code)

    refused = await refusal(second)

    assert (type(refused).__name__, refused.code) == (kind, code)
    assert "the token has expired" in refused.reason


@pytest.mark.parametrize("why", ["refused: nothing listens there", "does not speak TLS", "is no head agent"])
async def test_one_that_cannot_be_reached_says_why(tmp_path: Path, why: str) -> None:
    _, second = await two(tmp_path)
    second.failing["look"] = Unavailable(f"cannot be reached: {why}", code="unreachable")

    assert why in (await refusal(second)).reason


async def test_what_is_no_agent_is_told(tmp_path: Path) -> None:
    _, second = await two(tmp_path)
    second.door.shown = {"ca_pem": 5}

    assert isinstance(await refusal(second), Failed)


async def test_a_uid_that_another_head_has_is_refused_and_that_head_stays(tmp_path: Path) -> None:
    first, second = await two(tmp_path)
    await second.join()
    impostor = await MovingHead(2, tmp_path / "3").start()
    impostor.credentials.key = "another key"
    impostor.meets(first)

    assert (await refusal(impostor)).code == "uid-taken"

    assert first.registry.members.heads[second.uid].key_sha256 == second.credentials.key_sha256


async def test_a_head_does_not_join_itself_or_its_copy(tmp_path: Path) -> None:
    first, _ = await two(tmp_path)
    first.meets(first)
    assert (await refusal(first)).code == "self"
    copy = await MovingHead(1, tmp_path / "3").start()
    copy.meets(first)
    assert (await refusal(copy)).code == "uid-taken"


async def test_a_head_with_peers_leaves_them_first(tmp_path: Path) -> None:
    _, second = await two(tmp_path)
    await second.join()
    elsewhere = await MovingHead(3, tmp_path / "3").start()
    second.meets(elsewhere)

    refused = await refusal(second)

    assert refused.code == "joined-elsewhere"
    assert "leave" in refused.reason


async def test_an_engine_that_the_head_cannot_run_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    first, second = await two(tmp_path)
    first.engine.name = first.store.kind = "etcd"
    second.engines = ("sqlite",)

    refused = await refusal(second)

    assert refused.code == "engine"
    assert "etcd" in refused.reason
    assert second.door.tokens == []


async def test_a_shared_database_takes_a_head_with_objects_only_by_force_and_after_a_backup(tmp_path: Path) -> None:
    first, second = await two(tmp_path)
    first.engine.name = first.store.kind = "etcd"
    second.engine.shared = first.store
    await second.store.commit(Put(Kind.IMAGE, "a" * 32, {"name": "mine"}, "mine"))

    assert (await refusal(second)).code == "has-objects"
    await second.join(force=True)

    assert len(await second.backups.listing()) == 1
    assert await second.store.records(Kind.IMAGE) == []
    assert second.engine.kind == "etcd"


async def test_a_shared_database_that_cannot_be_attached_leaves_the_head_its_own(tmp_path: Path) -> None:
    first, second = await two(tmp_path)
    first.engine.name = first.store.kind = "etcd"
    second.engine.shared = first.store
    second.peers.away[first.uid] = "a firewall"
    before = await second.shape()

    await refusal(second)

    assert (await second.shape(), second.engine.kind) == (before, "sqlite")
    assert list(first.registry.members.heads) == [first.uid]
    # Before its member stops: of two, the one that is left could not take the other out any more.
    assert second.engine.dismissed == [second.uid]
    assert second.done.index("dismiss") < second.done.index("found")


async def test_a_member_of_a_shared_database_that_cannot_be_dismissed_goes_on_with_its_certificate(
    tmp_path: Path,
) -> None:
    first, second = await two(tmp_path)
    first.engine.name = first.store.kind = "etcd"
    second.engine.shared = first.store
    second.peers.away[first.uid] = "a firewall"
    second.failing["dismiss"] = NO_QUORUM

    failed = await refusal(second)

    assert "not all could be undone" in failed.reason
    assert second.engine.kind == "etcd"
    assert second.credentials.ca == first.credentials.ca
    second.failing.clear()
    second.peers.away.clear()
    assert not (await second.join()).already
    assert await second.shape() == await first.shape()


async def test_one_join_at_a_time(tmp_path: Path) -> None:
    _, second = await two(tmp_path)
    seen: list[AgentError] = []

    async def again() -> None:
        seen.append(await refusal(second))

    host = second.door.host
    assert host is not None
    admit = host.admission.admit

    async def slow(asked: Any) -> Any:
        assert second.joining.steps
        await again()
        return await admit(asked)

    second.door.knocked = slow
    await second.join()
    assert [(type(err), err.code) for err in seen] == [(Conflict, "busy")]
    assert second.joining.steps is None


async def test_a_join_and_a_leave_take_turns(tmp_path: Path) -> None:
    _, second = await two(tmp_path)
    with second.backups.doing("leave the cluster"):
        refused = await refusal(second)
    assert isinstance(refused, Conflict)
    assert "leave the cluster" in refused.reason


async def test_a_head_whose_own_database_cannot_be_read_joins_by_force_alone(tmp_path: Path) -> None:
    first, second = await two(tmp_path)
    second.store.problem = "this head has no copy of it"

    refused = await refusal(second)

    assert "--force" in refused.reason
    assert second.done.count("found") == 0
    await second.join(force=True)
    assert await second.shape() == await first.shape()


async def test_a_head_whose_cluster_has_lost_its_quorum_for_good_joins_another_by_force(tmp_path: Path) -> None:
    first, second = await two(tmp_path)
    third = MovingHead(3, tmp_path / "3")
    await third.start()
    third.meets(second)
    second.meets(third)
    await third.join()
    third.meets(first)
    first.meets(third)
    first.engine.name = first.store.kind = "etcd"
    third.engine.name, third.engine.shared, third.store.age = "etcd", first.store, 30.0

    assert (await refusal(third)).code == "joined-elsewhere"

    await third.join(force=True)
    assert await third.shape() == await first.shape()
