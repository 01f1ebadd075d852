"""Heads of this version and of the one before it in one cluster, on each engine, until all are of this one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest

from agent import __version__
from agent.heads.beat import PROTOCOL
from tests.support.heads import Head, Heads
from tests.support.heads.cluster import Cluster, everywhere
from tests.support.heads.head import UNIT, wait_for
from tests.support.heads.watching import watching
from tests.support.heads.writing import missing, writing
from tests.support.installing import NAME, answering, dpkg, platform
from tests.support.packages import NEXT

TIMEOUT = 3
CONFIG = f"""\
[files]
root = /srv/store
[heartbeat]
interval = 0.5s
suspect = 1.5s
timeout = {TIMEOUT}s
[heads]
evict_after = 2s
"""


@pytest.fixture(scope="module", params=["sqlite", "etcd"])
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


def last_seen(head: Head, other: Head) -> float:
    """When one head, as it says, last heard another, in seconds of its clock."""
    return datetime.fromisoformat(head.api("GET", "/heads").data[other.uid]["last_seen"]).timestamp()


def agreed(head: Head, new: Head) -> list[str]:
    """What a command of this version has to be told where nobody can be asked; the version before asked nothing."""
    return ["--yes"] if head is new else []


def test_heads_of_both_versions_ask_and_serve_each_other(cluster: Cluster, previous: Path) -> None:
    old, _, new = cluster.heads
    cluster.settled()
    assert answering(old) == previous.name.split("_")[1].removesuffix("-1")
    assert answering(new) == __version__

    for asked, through in ((old, new), (new, old)):
        answer = through.api("GET", "/head/services", on=asked.uid)
        assert (answer.status, isinstance(answer.data, list)) == (200, True)
        token = f"Authorization: Bearer {cluster.token(through)}"
        assert '"success":true' in asked.run("curl", "-sk", "-H", token, f"https://{asked.name}:52390/heads").stdout
        assert asked.api("GET", "/head/files/unused?scope=cluster").data.keys() == {one.uid for one in cluster.heads}
    assert f"{old.uid}: it runs version {answering(old)}" in new.run("cw-headctl", "doctor", check=False).stdout
    refused = new.run("cw-headctl", "doctor", "--head", old.name, check=False)
    assert (refused.returncode, f"its agent has version {answering(old)}" in refused.stderr) == (1, True)
    listed = new.run("cw-headctl", "--all-heads", "services", "ls", check=False).stdout
    assert {line.split()[0] for line in listed.splitlines()[1:]} == {one.name for one in cluster.heads}


def test_each_version_removes_and_lets_in_the_other_and_exchanges_the_ca(cluster: Cluster) -> None:
    old, other, new = cluster.heads
    cluster.settled()
    for by, whom in ((new, other), (old, new)):
        assert by.api("DELETE", f"/head/{whom.uid}").status == 200
        everywhere([whom], lambda one: one.api("GET", "/heads").body.get("meta", {}).get("problem"), "to know of it")
        cluster.heads.remove(whom)
        whom.run("cw-headctl", "join", "--force", *agreed(whom, new), *cluster.invitation(by))
        cluster.heads.append(whom)
        cluster.settled()
    if cluster.engine == "sqlite":  # etcd's members would be restarted one by one, each time
        for one in (old, new):
            told = one.run("cw-headctl", "ca", "rotate", *agreed(one, new)).stdout
            assert told.startswith("3 heads believe" if one is new else "3 head(s) believe")
        cluster.settled()


def test_a_rolling_upgrade_loses_no_record_and_finds_no_head_down_that_was_not_stopped(
    cluster: Cluster, current: Path
) -> None:
    """The last of these: from here on all are of this version."""
    cluster.settled()
    upgraded = [head for head in cluster.heads if answering(head) != __version__]
    with watching(cluster.heads, every=0.1) as seen, writing(cluster.heads, every=0.1) as written:
        for head in upgraded:
            began = time.monotonic()
            install(head, current)
            everywhere([head], lambda one: answering(one) == __version__, "the new version")
            cluster.settled()
            assert seen.said(("down",), began, of=[one.uid for one in cluster.others(head)]) == []
    assert len(upgraded) == 2
    for done in written:
        assert len(done.uids) > 10
        readers = [done.head] if cluster.engine == "sqlite" else cluster.heads
        assert [missing(reader, [done]) for reader in readers] == [set()] * len(readers)
    last = cluster.heads[-1]
    assert {head["version"] for head in last.api("GET", "/heads").data.values()} == {__version__}

    warned = last.run("dpkg", "--remove", NAME).stderr

    assert f"{NAME}: this head is still a member of its cluster" in warned
    assert f"cw-headctl heads evict {last.uid}" in warned
    assert last.show(UNIT, "LoadState") == "not-found"


def test_a_head_that_was_upgraded_too_far_is_up_and_told_of(bare: Heads, current: Path, following: Path) -> None:
    ahead, behind = heads = bare.boot_all("ahead", "behind")
    made = Cluster(bare, "sqlite")
    for head, package in ((ahead, following), (behind, current)):
        platform(head, CONFIG)
        install(head, package)
    made.heads.append(behind)
    made.join(ahead)
    made.settled()
    with watching([behind], every=0.1) as seen:
        since = time.monotonic()
        everywhere([behind], lambda head: "Head has a newer protocol" in head.journal(), "to tell of it")
        first = last_seen(behind, ahead)
        everywhere([behind], lambda head: last_seen(head, ahead) > first + TIMEOUT, "to go on hearing it")
        assert seen.said(("down", "unknown"), since, of=[ahead.uid]) == []
        made.settled()
    (line,) = (line for line in behind.journal().splitlines() if line.startswith("Head has a newer protocol"))
    assert f"version={NEXT} protocol={PROTOCOL + 1} own_protocol={PROTOCOL}" in line
    assert ahead.api("GET", "/head/services", on=behind.uid).status == 200
    bare.shut_down_all(heads)
