"""Heads of this version and of the one before it in one cluster, on each engine, until all are of this one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agent import __version__
from tests.support.heads import Head, Heads
from tests.support.heads.cluster import Cluster, everywhere
from tests.support.heads.head import UNIT, wait_for
from tests.support.heads.watching import ANSWERS, watching
from tests.support.heads.writing import missing, writing
from tests.support.installing import NAME, answering, dpkg, platform

CONFIG = """\
[files]
root = /srv/store
[heartbeat]
interval = 0.5s
suspect = 1.5s
timeout = 3s
[heads]
evict_after = 2s
"""


@pytest.fixture(params=["sqlite", "etcd"])
def cluster(bare: Heads, previous: Path, current: Path, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Three heads: two have the version before, and the third, that joined them, has this one."""
    made = Cluster(bare, request.param)
    heads = bare.boot_all(*(f"{request.param}{number}" for number in (1, 2, 3)))
    founding = f"[database]\nengine = {request.param}\n"
    for head, config in zip(heads, (founding, "", ""), strict=True):
        platform(head, CONFIG + config)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(install, heads, (previous, previous, current)))
    made.heads.append(heads[0])
    wait_for(lambda: heads[0].api("GET", "/head/peerurl").data["store"] == made.engine, "the engine")
    for head in heads[1:]:
        made.join(head)
    yield made
    for head in heads:
        head.crash()
    bare.shut_down_all(heads)


def install(head: Head, package: Path) -> None:
    """Install a package over whatever is there; the configuration stays."""
    dpkg(head, package, "--force-confold")


def removed(by: Head, whom: Head) -> None:
    """Remove one head through another, and have it know."""
    assert by.api("DELETE", f"/head/{whom.uid}").status == 200
    wait_for(lambda: whom.api("GET", "/heads").body.get("meta", {}).get("problem"), f"{whom.name} to know")


def test_neighbouring_versions_work_together_and_a_rolling_upgrade_loses_nothing(
    cluster: Cluster, current: Path, previous: Path
) -> None:
    old, other, new = cluster.heads
    cluster.settled()
    assert {answering(old), answering(other)} == {previous.name.split("_")[1].removesuffix("-1")}
    assert answering(new) == __version__

    for asked, through in ((old, new), (new, old)):
        answer = through.api("GET", "/head/services", on=asked.uid)
        assert (answer.status, isinstance(answer.data, list)) == (200, True)
        token = f"Authorization: Bearer {cluster.token(through)}"
        assert '"success":true' in asked.run("curl", "-sk", "-H", token, f"https://{asked.name}:52390/heads").stdout

    for by, whom in ((new, other), (old, new)):
        removed(by, whom)
        cluster.heads.remove(whom)
        agreed = ["--yes"] if whom is new else []  # which the version before did not ask for
        whom.run("cw-headctl", "join", "--force", *agreed, *cluster.invitation(by))
        cluster.heads.append(whom)
        cluster.settled()

    with watching([old, other, new], every=0.1) as seen, writing([old, other, new], every=0.1) as done:
        for head in (old, other):
            began = time.monotonic()
            install(head, current)
            everywhere([head], lambda one: answering(one) == __version__, "the new version")
            cluster.settled()
            others = [one.uid for one in cluster.others(head)]
            assert seen.said(("down",), began, of=others) == []
    for one in done:
        assert len(one.uids) > 10
        readers = [one.head] if cluster.engine == "sqlite" else cluster.heads
        assert [missing(reader, [one]) for reader in readers] == [set()] * len(readers)
    assert {head["version"] for head in old.api("GET", "/heads").data.values()} == {__version__}
    print(cluster.engine, [(len(one.uids), one.refusals) for one in done], seen.said(("no",), 0, of=[ANSWERS]))

    warned = new.run("dpkg", "--remove", NAME).stderr
    assert f"{NAME}: this head is still a member of its cluster" in warned
    assert f"cw-headctl heads evict {new.uid}" in warned
    assert new.show(UNIT, "LoadState") == "not-found"
