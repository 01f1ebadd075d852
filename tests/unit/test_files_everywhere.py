"""What the objects of all heads refer to, and every way in which that cannot be known."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import parse_qs, urlsplit

import pytest

from agent.errors import Unavailable
from agent.files.difference import named_by
from agent.files.everywhere import PAGE, PATH, Company, EveryHead
from agent.ports import PeerAnswer, walk_key
from tests.support.files import SetReferences
from tests.support.peers import Asked, MemoryPeers, Responder, answered, answers

B, C, D = "b" * 32, "c" * 32, "d" * 32


def head(names: Collection[str]) -> Responder:
    """Another head's agent, with objects that refer to these."""

    async def respond(asked: Asked) -> PeerAnswer:
        if asked.method == "POST":
            references = SetReferences(set(names))
            return answered(sorted(await named_by(references.references(), asked.body["filenames"], "/store")))
        query = parse_qs(urlsplit(asked.path).query, keep_blank_values=True)
        after, limit = query["after"][0], int(query["limit"][0])
        return answered(sorted((n for n in names if walk_key(n) > walk_key(after)), key=walk_key)[:limit])

    return respond


class Cluster:
    """This head with others."""

    def __init__(self, **others: Collection[str]) -> None:
        self.own = SetReferences({"own"})
        self.peers = MemoryPeers({uid * 32: head(names) for uid, names in others.items()})
        self.shared = False
        self.states: dict[str, str | None] = dict.fromkeys(self.peers.heads)
        self.everywhere = EveryHead(self.own, self.peers, lambda: Company(self.shared, dict(self.states)))

    async def all(self) -> list[str]:
        """All references."""
        return [name async for batch in self.everywhere.references() for name in batch]


async def test_the_references_of_all_heads_are_one_list_in_walk_order() -> None:
    cluster = Cluster(b={"a/x", "own", "ü"}, c={"a", "a!", "z"}, d=())
    assert await cluster.all() == ["a", "a/x", "a!", "own", "z", "ü"]


async def test_many_references_come_page_by_page() -> None:
    names = [f"d{n % 7}/file {n:05d}&+%" for n in range(2 * PAGE + 5)]
    cluster = Cluster(b=names)
    assert await cluster.all() == sorted([*names, "own"], key=walk_key)
    assert len([asked for asked in cluster.peers.asked if asked.path.startswith(PATH)]) == 4


async def test_what_any_head_refers_to_by_any_spelling_is_named() -> None:
    cluster = Cluster(b={"./x"}, c={"y", "not-asked"})
    assert await cluster.everywhere.named(["own", "x", "y", "z"]) == {"own", "x", "y"}
    assert await cluster.everywhere.named([]) == set()


async def test_many_filenames_are_asked_about_in_portions() -> None:
    names = [f"{n:04d}" + "n" * 4000 for n in range(200)]
    cluster = Cluster(b=names[::2])
    assert await cluster.everywhere.named(names) == set(names[::2])
    assert len(cluster.peers.asked) == 5


async def test_a_filename_that_is_no_text_is_asked_of_nobody() -> None:
    cluster = Cluster(b={"x"})
    assert await cluster.everywhere.named(["x", "\udcff"]) == {"x"}


async def test_with_a_shared_store_nobody_is_asked() -> None:
    cluster = Cluster(b={"x"})
    cluster.shared = True
    cluster.states[B] = "is down"
    assert await cluster.all() == ["own"]
    assert await cluster.everywhere.named(["x"]) == set()
    assert cluster.peers.asked == []


@pytest.mark.parametrize("state", ["is down", "is suspect", "is unknown"])
async def test_a_head_that_is_not_up_makes_all_of_it_unknown_and_says_the_way_out(state: str) -> None:
    cluster = Cluster(b={"x"}, c={"y"})
    cluster.states[C] = state
    await _fails(cluster, f"head {C} refer to: it {state}")
    assert cluster.peers.asked == []


async def test_a_head_that_cannot_be_reached_makes_all_of_it_unknown() -> None:
    cluster = Cluster(b={"x"}, c={"y"})
    cluster.peers.away[C] = "no route to host"
    await _fails(cluster, "no route to host")


@pytest.mark.parametrize(
    "odd",
    [
        answers(status=503, reason="the database is away", code="unavailable"),
        answers(status=422, reason="?after is not a parameter of this path", code="unknown-parameter"),
        answers({"x": 1}),
        answers(None),
        answers(["x", 7]),
        answers(["x", ""]),
        answers(["y", "x"]),
    ],
)
async def test_a_head_that_answers_oddly_makes_all_of_it_unknown(odd: Responder) -> None:
    cluster = Cluster(b={"x"}, c={"y"})
    cluster.peers.heads[C] = odd
    await _fails(cluster, C)


async def test_pages_that_do_not_go_on_are_odd() -> None:
    cluster = Cluster(b={"x"})
    cluster.peers.heads[B] = answers(["x"])  # again and again
    with pytest.raises(Unavailable, match="not in order"):
        await cluster.all()


async def test_a_head_that_joins_while_others_are_asked_is_counted() -> None:
    cluster = Cluster(b={"x"}, d={"y"})
    del cluster.states[D]

    def joining(respond: Responder) -> Responder:
        async def answer(asked: Asked) -> PeerAnswer:
            cluster.states[D] = None
            return await respond(asked)

        return answer

    cluster.peers.heads[B] = joining(cluster.peers.heads[B])
    assert await cluster.everywhere.named(["x", "y", "z"]) == {"x", "y"}
    del cluster.states[D]
    with pytest.raises(Unavailable, match=f"{D}.*has joined"):
        await cluster.all()


async def test_a_head_that_leaves_while_others_are_asked_is_no_obstacle() -> None:
    cluster = Cluster(b={"x"}, c={"y"})

    async def leaving(asked: Asked) -> PeerAnswer:
        cluster.states.pop(C, None)
        return await head({"x"})(asked)

    cluster.peers.heads[B] = leaving
    assert await cluster.all() == ["own", "x", "y"]


async def _fails(cluster: Cluster, reason: str) -> None:
    for work in (cluster.all(), cluster.everywhere.named(["x"])):
        with pytest.raises(Unavailable) as refused:
            await work
        assert refused.value.code == "head-not-asked"
        assert reason in refused.value.reason
        assert "DELETE /head/" in refused.value.reason
