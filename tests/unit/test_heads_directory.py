"""The standard verbs on heads, and the removal of those that are down."""

from __future__ import annotations

from typing import Any

import pytest
from typing_extensions import override

from agent.errors import Conflict, Invalid, NotFound, Stale
from agent.heads.liveness import Condition, Standing, State
from agent.model import Departure, Kind, Record
from agent.ports import Delete
from tests.support.head_records import HeadRoom, body
from tests.support.logs import log_lines
from tests.support.memory_store import MemoryStore
from tests.support.people import ME, OTHER, PEER, STRANGER
from tests.support.pki import authority
from tests.support.ssh import pair


@pytest.fixture
async def room() -> HeadRoom:
    return await HeadRoom().start()


async def test_heads_are_shown_with_their_states(room: HeadRoom) -> None:
    await room.directory.register(body(PEER, description="two"))
    room.clock.move(60)
    heads = await room.directory.all()
    assert list(heads) == [ME, PEER]
    assert heads[ME]["state"] == "up"
    assert heads[ME]["last_seen"] == "2030-05-01T12:01:00.000Z"
    assert heads[ME]["since"] == "2030-05-01T12:00:00.000Z"
    assert heads[PEER] == {
        "uid": PEER,
        "ssh_public": pair("ed25519").public,
        "description": "two",
        "ca_pem": None,
        "addresses": [],
        "key_sha256": None,
        "url": None,
        "peer_url": None,
        "joined": "2030-05-01T12:00:00.000Z",
        "generation": 1,
        "edition": 0,
        "version": None,
        "joined_with": [],
        "state": "unknown",
        "last_seen": None,
        "since": None,
        "heard_by": {},
    }


async def test_a_registered_head_is_a_member_at_once_and_a_removed_one_is_not(room: HeadRoom) -> None:
    await room.directory.register(body(PEER))
    assert PEER in room.registry.members.heads
    await room.directory.remove(PEER)
    assert PEER not in room.registry.members.heads
    assert PEER in room.registry.members.tombstones


async def test_a_change_of_a_head_is_in_the_members_at_once(room: HeadRoom) -> None:
    await room.directory.register(body(PEER))
    await room.directory.patch(PEER, {"addresses": ["10.0.0.2"]})
    assert room.registry.members.heads[PEER].addresses == ("10.0.0.2",)
    await room.directory.replace(PEER, {"ssh_public": pair("ed25519", 1).public})
    assert room.registry.members.heads[PEER].addresses == ()


async def test_self_names_this_head(room: HeadRoom) -> None:
    assert (await room.directory.get("self")).uid == ME
    assert (await room.directory.patch("self", {"description": "d"})).uid == ME


@pytest.mark.parametrize("name", ["self", ME])
async def test_this_head_cannot_be_removed(room: HeadRoom, name: str) -> None:
    with pytest.raises(Conflict, match="leave") as refused:
        await room.directory.remove(name)
    assert refused.value.code == "self"
    assert ME in room.registry.members.heads


async def test_a_tombstone_tells_who_it_was(room: HeadRoom) -> None:
    ca = authority("theirs").pem
    await room.directory.register(body(PEER, ca_pem=ca, description="two", addresses=["10.0.0.2"]))
    await room.directory.remove(PEER)
    tombstone = room.registry.members.tombstones[PEER]
    assert tombstone.departure is Departure.REMOVED
    assert tombstone.at == "2030-05-01T12:00:00.000Z"
    assert (tombstone.generation, tombstone.ca_pem, tombstone.addresses) == (1, ca, ("10.0.0.2",))
    assert tombstone.description == "two"


async def test_a_head_that_comes_back_has_a_higher_generation(room: HeadRoom) -> None:
    for generation in (1, 2, 3):
        record = await room.directory.register(body(PEER))
        assert record.body["generation"] == generation
        assert room.registry.members.tombstones == {}
        await room.directory.remove(PEER)


class CleanedInBetween(MemoryStore):
    """A store whose tombstones a clean takes away right after they were first read."""

    @override
    async def get(self, kind: Kind, uid: str) -> Record | None:
        """The record, which may be gone when this returns."""
        found = await super().get(kind, uid)
        if found and kind is Kind.TOMBSTONE:
            await self.commit(Delete(kind, uid))
        return found


async def test_a_tombstone_cleaned_away_while_a_head_comes_back_does_no_harm() -> None:
    room = await HeadRoom(CleanedInBetween()).start()
    await room.directory.register(body(PEER))
    await room.directory.remove(PEER)
    assert (await room.directory.register(body(PEER))).body["generation"] == 1


async def test_an_existing_head_is_a_conflict(room: HeadRoom) -> None:
    for uid in (ME, ME):
        with pytest.raises(Conflict) as refused:
            await room.directory.register(body(uid))
        assert refused.value.code == "exists"


async def test_a_stale_precondition_removes_nothing(room: HeadRoom) -> None:
    old = await room.directory.register(body(PEER))
    await room.directory.patch(PEER, {"description": "new"})
    with pytest.raises(Stale):
        await room.directory.remove(PEER, old.revision)
    assert PEER in room.registry.members.heads


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"uid": None}, "uid"),
        ({"uid": "SHORT"}, "uid"),
        ({"ssh_public": None}, "ssh_public"),
        ({"ssh_public": "ssh-dss AAAA"}, "ssh_public"),
        ({"ca_pem": "no pem"}, "ca_pem"),
        ({"addresses": ["head2.cluster.local"]}, "addresses"),
        ({"addresses": ["10.0.0.0/8"]}, "addresses"),
        ({"addresses": "10.0.0.1"}, "addresses"),
        ({"addresses": ["10.0.0.1"] * 65}, "addresses"),
        ({"addresses": [167772161]}, "addresses[0]"),
        ({"addresses": ["127.0.0.2"]}, "addresses"),
        ({"addresses": ["::ffff:127.0.0.1"]}, "addresses"),
        ({"addresses": ["0.0.0.0"]}, "addresses"),
        ({"addresses": ["::"]}, "addresses"),
        ({"addresses": ["ff02::1"]}, "addresses"),
        ({"key_sha256": "ab"}, "key_sha256"),
        ({"key_sha256": "g" * 64}, "key_sha256"),
        ({"key_sha256": "a" * 64 + "\n"}, "key_sha256"),
        ({"url": "10.0.0.1:52390"}, "url"),
        ({"url": "ftp://h/"}, "url"),
        ({"url": "https://"}, "url"),
        ({"url": "https://h:99999"}, "url"),
        ({"url": "https://h\n"}, "url"),
        ({"url": "https://[::1"}, "url"),
        ({"url": "https://user:secret@h/"}, "url"),
        ({"peer_url": "javascript:alert(1)"}, "peer_url"),
        ({"generation": 9}, "generation"),
        ({"joined": "now"}, "joined"),
        ({"version": "2"}, "version"),
        ({"state": "down"}, "state"),
        ({"admin": True}, "admin"),
        ({"description": 5}, "description"),
    ],
)
async def test_a_bad_field_is_refused_by_name(room: HeadRoom, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        await room.directory.register({**body(PEER), **fields})
    assert [fault.field for fault in refused.value.fields] == [field]
    assert list(room.registry.members.heads) == [ME]


async def test_fields_are_kept_in_their_one_best_form(room: HeadRoom) -> None:
    given = ["::ffff:10.0.0.2", "10.0.0.2", "FE80:0:0::1", "fe80::1%eth0"]
    record = await room.directory.register(body(PEER, addresses=given, key_sha256="AB" * 32))
    assert record.body["addresses"] == ["10.0.0.2", "fe80::1"]
    assert record.body["key_sha256"] == "ab" * 32


async def test_a_head_that_nothing_can_recognise_is_taken_with_a_warning(room: HeadRoom) -> None:
    neither = await room.directory.register(body(PEER))
    address = await room.directory.register(body(OTHER, addresses=["10.0.0.3"]))
    certified = await room.directory.register(body(STRANGER, ca_pem=authority("ca").pem))
    assert "neither ca_pem nor addresses" in room.directory.warnings(neither)[0]
    assert ["address alone" in warning for warning in room.directory.warnings(address)] == [True]
    assert room.directory.warnings(certified) == []


async def test_two_heads_with_one_address_and_no_certificate_are_taken_with_a_warning(room: HeadRoom) -> None:
    await room.directory.register(body(PEER, addresses=["10.0.0.2", "10.0.0.3"]))
    same = await room.directory.register(body(OTHER, addresses=["::ffff:10.0.0.3"]))
    _, warning = room.directory.warnings(same)
    assert "10.0.0.3" in warning
    assert PEER in warning
    certified = await room.directory.patch(OTHER, {"ca_pem": authority("ca").pem})
    assert room.directory.warnings(certified) == []
    assert len(room.directory.warnings(await room.directory.get(PEER))) == 1


@pytest.mark.parametrize(
    ("change", "keys"),
    [
        ({"ssh_public": pair("ed25519", 1).public}, ["ssh_public"]),
        ({"ca_pem": authority("other").pem, "key_sha256": "a" * 64}, ["ca_pem", "key_sha256"]),
        ({"ca_pem": authority("other").pem}, None),
        ({"ca_pem": None}, None),
        ({"description": "new"}, None),
    ],
)
async def test_a_change_of_keys_is_audited_apart(
    room: HeadRoom, change: dict[str, Any], keys: list[str] | None
) -> None:
    await room.directory.register(body(PEER, ca_pem=authority("ca").pem))
    with log_lines() as logs:
        await room.directory.patch(PEER, change)
    apart = [line for line in logs if line["event"] == "Head key changed"]
    assert [line["fields"] for line in apart] == ([keys] if keys else [])
    assert all(line["log_level"] == "warning" and line["head_uid"] == PEER for line in apart)
    told = [line["log_level"] for line in logs if line["event"] == "Head CA changed"]
    assert told == (["info"] if change.keys() == {"ca_pem"} else [])


async def test_nobody_is_down_as_long_as_nobody_listens(room: HeadRoom) -> None:
    await room.directory.register(body(PEER))
    assert room.directory.down() == []
    removed, kept = await room.directory.remove_down()
    assert removed == []
    assert [entry["uid"] for entry in kept] == [PEER]
    assert "unknown" in kept[0]["reason"]
    assert PEER in room.registry.members.heads


async def test_heads_that_are_down_are_removed_and_others_kept(room: HeadRoom) -> None:
    for uid in (PEER, OTHER, STRANGER):
        await room.directory.register(body(uid, description=uid[0]))
    down = Condition(State.DOWN, "then", "later")
    room.see(
        Standing.MAJORITY,
        {ME: Condition(State.UP), PEER: down, OTHER: Condition(State.SUSPECT), STRANGER: Condition(State.UNKNOWN)},
    )
    row = {"uid": PEER, "description": "1", "state": "down", "last_seen": "then", "down_since": "later"}
    assert room.directory.down() == [row]
    tried = await room.directory.remove_down(dry_run=True)
    assert list(room.registry.members.heads) == [ME, PEER, OTHER, STRANGER]
    done = await room.directory.remove_down()
    assert tried == done
    assert done.removed == [row]
    assert [entry["uid"] for entry in done.kept] == [OTHER, STRANGER]
    assert list(room.registry.members.heads) == [ME, OTHER, STRANGER]
    assert PEER in room.registry.members.tombstones


async def test_this_head_is_never_down_to_itself(room: HeadRoom) -> None:
    room.see(Standing.ALONE, {ME: Condition(State.DOWN)})
    assert room.directory.down() == []
    assert await room.directory.remove_down() == ([], [])


async def test_in_the_minority_nothing_is_removed(room: HeadRoom) -> None:
    await room.directory.register(body(PEER))
    await room.directory.register(body(OTHER))
    room.see(Standing.MINORITY, {ME: Condition(State.UP), PEER: Condition(State.DOWN), OTHER: Condition(State.UNKNOWN)})
    with pytest.raises(Conflict, match="cut off") as refused:
        await room.directory.remove_down()
    assert refused.value.code == "minority"
    assert PEER in room.registry.members.heads


async def test_what_is_not_there_is_not_found(room: HeadRoom) -> None:
    for attempt in (room.directory.get(PEER), room.directory.patch(PEER, {}), room.directory.remove("..")):
        with pytest.raises(NotFound):
            await attempt
