"""Heads that join over real TLS, each with a database of its own."""

from __future__ import annotations

from pathlib import Path

from tests.support.company import head, shown


async def test_two_heads_become_a_cluster(tmp_path: Path) -> None:
    with head(tmp_path, 1).running() as first, head(tmp_path, 2).running() as second:
        status, answer = await second.join(first)

        assert status == 200, shown(answer)
        assert answer["data"]["cluster"] == await first.cluster() == await second.cluster()
        assert set(await first.heads()) == set(await second.heads()) == {first.uid, second.uid}
        assert await second.ca_sha256() == await first.ca_sha256()
        status, again = await second.join(first)
        assert (status, again["data"]["already"]) == (200, True)
