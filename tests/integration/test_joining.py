"""Heads that join over real TLS, each with a database of its own."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.company import eventually, running, shown
from tests.support.daemon import free_port


async def test_two_heads_become_a_cluster(tmp_path: Path) -> None:
    with running(tmp_path, 2) as (first, second):
        status, answer = await second.join(first)

        assert status == 200, shown(answer)
        assert answer["data"]["cluster"] == await first.cluster() == await second.cluster()
        assert set(await first.heads()) == set(await second.heads()) == {first.uid, second.uid}
        assert await second.ca_sha256() == await first.ca_sha256()
        status, again = await second.join(first)
        assert (status, again["data"]["already"]) == (200, True)


async def test_a_third_head_is_known_to_all_and_one_that_leaves_goes_on_alone(tmp_path: Path) -> None:
    with running(tmp_path, 3) as (first, second, third):
        everybody = {first.uid, second.uid, third.uid}
        assert (await second.join(first))[0] == 200
        image = await second.data("POST", "/images", {"name": "one", "content": {"filename": "one.img"}})
        assert (await third.join(second))[0] == 200
        await eventually(first.heads, lambda heads: set(heads) == everybody)
        former, former_ca = await first.cluster(), await first.ca_sha256()

        left = await second.data("POST", "/database/leave")

        assert left["left"] == second.uid
        assert left["remaining"] == [first.uid, third.uid]
        assert left["cluster"] == await second.cluster() != former
        assert set(await second.heads()) == {second.uid}
        assert await second.ca_sha256() != former_ca
        assert list(await second.data("GET", "/images")) == [image]
        for other in (first, third):
            await eventually(other.heads, lambda heads: second.uid not in heads)
        assert (await second.data("POST", "/database/leave"))["steps"] == []

        status, answer = await second.join(third)
        assert (status, answer["data"]["already"]) == (200, False), shown(answer)
        for other in (first, second, third):
            heads = await eventually(other.heads, lambda heads: set(heads) == everybody)
            assert heads[second.uid]["generation"] == 2


async def test_a_removed_head_stays_out_until_it_joins_again(tmp_path: Path) -> None:
    with running(tmp_path, 2) as (first, second):
        assert (await second.join(first))[0] == 200
        await first.data("DELETE", f"/head/{second.uid}?force=1")

        status, answer = await second.join(first)

        assert (status, answer["data"]["already"]) == (200, False), shown(answer)
        assert (await first.heads())[second.uid]["generation"] == 2
        assert set(await second.heads()) == {first.uid, second.uid}


async def test_an_operator_joins_and_leaves_with_what_the_commands_print(tmp_path: Path) -> None:
    with running(tmp_path, 2) as (first, second):
        made = first.ctl("token", "--join").stdout
        echo, _, join = made.partition(" | ")
        command, token = join.split()[1:], echo.removeprefix("echo ")

        joined = second.ctl(*command, stdin=token)

        assert joined.returncode == 0, joined.stderr
        assert joined.stdout.splitlines()[-1].endswith("now.")
        assert "already" in second.ctl(*command, stdin=token).stdout
        for one in (first, second):
            await eventually(one.heads, lambda heads: all(h["state"] == "up" for h in heads.values()))
        listed = second.ctl("heads", "ls")
        assert listed.returncode == 0, listed.stdout
        assert [line.split()[:2] for line in listed.stdout.splitlines()[1:]] == [[first.uid, "up"], [second.uid, "up"]]
        assert second.ctl("leave").returncode == 2  # nobody is there to ask
        left = first.ctl("--head", second.uid, "leave", "--yes")
        assert left.returncode == 0, left.stderr
        assert "is alone in a new cluster" in left.stdout
        assert set(await first.heads()) == {first.uid}
        assert set(await second.heads()) == {second.uid}


async def test_each_refusal_has_its_word_and_changes_nothing(tmp_path: Path) -> None:
    with running(tmp_path, 2) as (first, second):
        good, before, files = await first.invitation(), await second.heads(), second.files()
        reader = await first.token(permissions=["HeadsRead"])
        foreign = await second.token()
        closed = f"https://127.0.0.9:{free_port()}"
        for changed, status, code in (
            ({"url": closed}, 503, "unreachable"),
            ({"url": first.url.replace("https", "http")}, 422, "invalid"),
            ({"url": ""}, 422, "invalid"),
            ({"ca_sha256": "0" * 64}, 409, "wrong-ca"),
            ({"ca_sha256": "zz"}, 422, "hash"),
            ({"token": "nonsense"}, 403, "unauthenticated"),
            ({"token": foreign}, 403, "unauthenticated"),
            ({"token": reader}, 403, "permission"),
            ({"url": second.url, "ca_sha256": await second.ca_sha256()}, 409, "self"),
        ):
            answer = await second.ask("POST", "/head/join", {**good, **changed})
            assert (answer[0], answer[1]["code"]) == (status, code), shown(answer)
            assert answer[1]["reason"]
        for path, body in (("/heads/join", {}), ("/heads/farewell", None)):
            refused = await first.ask("POST", path, body)
            assert (refused[0], refused[1]["code"]) == (403, "tls-only" if body == {} else "heads-only")
        assert await second.data("GET", "/head/join") is None

        assert {uid: h["edition"] for uid, h in (await second.heads()).items()} == {
            uid: h["edition"] for uid, h in before.items()
        }
        assert second.files() == files
        assert set(await first.heads()) == {first.uid}
        assert (await second.ask("POST", "/head/join", good))[0] == 200
        everything = first.ended() + second.ended()
    assert "Joined a cluster" in everything
    for secret in (good["token"], foreign, "PRIVATE KEY"):
        assert secret not in everything


async def test_what_is_printed_for_one_head_lets_in_no_second_one(tmp_path: Path) -> None:
    with running(tmp_path, 3) as (first, second, third):
        made = first.ctl("--json", "token", "--join")
        invitation = {name: json.loads(made.stdout)[name] for name in ("url", "token", "ca_sha256")}
        joined = await second.ask("POST", "/head/join", invitation)
        assert joined[0] == 200, shown(joined)

        refused = await third.ask("POST", "/head/join", invitation)

        assert (refused[0], refused[1]["code"]) == (403, "token-used"), shown(refused)
        assert second.uid in refused[1]["reason"]
        assert set(await first.heads()) == {first.uid, second.uid}
        await first.data("DELETE", f"/head/{second.uid}?force=1")
        again = await second.ask("POST", "/head/join", invitation)
        assert (again[0], again[1]["code"]) == (403, "token-used"), shown(again)
        longer = await first.ask("POST", "/head/token", {"permissions": ["HeadsJoin"], "lifespan": "13h"})
        assert longer[0] == 422, shown(longer)
