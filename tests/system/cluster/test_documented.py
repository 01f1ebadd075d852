"""docs/cluster.md, played through: every command of the page, as it stands there, on heads of its own."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.heads import Head, Heads
from tests.support.heads.cluster import ETCD, Cluster, everywhere
from tests.support.heads.head import Done, wait_for
from tests.system.cluster.conftest import CONFIG, SLACK, TIMEOUT

PAGE = Path(__file__).parents[3] / "docs/cluster.md"

JOIN = "echo TOKEN | cw-headctl join https://10.77.0.11:52390 --ca-sha256 HASH --token-file -"


class Operator:
    """Types the page's commands on heads, and remembers which."""

    def __init__(self) -> None:
        text = PAGE.read_text()
        blocks = [line.strip() for line in text.splitlines() if re.match(r" {4,}(echo .*)?cw-headctl ", line)]
        inline = re.findall(r"`(cw-headctl [^`]*)`", text)
        self.open = dict.fromkeys([*blocks, *inline])

    def types(self, head: Head, command: str, *, check: bool = True, **words: str) -> Done:
        """Run a command of the page, its capitals replaced by these words."""
        assert command in PAGE.read_text(), f"{command} is not in the page"
        self.open = {left: None for left in self.open if not command.startswith(left)}
        argv = [words.get(word, word) for word in shlex.split(command)]
        if ">" in argv:
            argv = ["sh", "-c", command]
        return head.run(*argv, check=check, timeout=120)


@pytest.fixture
def heads_of_its_own(heads: Heads) -> Iterator[list[Head]]:
    """Three heads, booted, the agents running alone."""
    machines = list(heads.boot_all("page1", "page2", "page3"))
    for head in machines:
        head.start_agent(CONFIG)
    yield machines
    heads.shut_down_all(machines)


def _join(operator: Operator, founder: Head, head: Head, *more: str) -> None:
    """As the page says: what `token --join` prints is run on the new head."""
    printed = operator.types(founder, "cw-headctl token --join").stdout.strip().splitlines()[-1]
    operator.open.pop(JOIN, None)
    assert [len(printed.split()), *shlex.split(printed)[3:5]] == [len(JOIN.split()), *shlex.split(JOIN)[3:5]]
    done = head.run("sh", "-c", " ".join((printed, *more)), check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.timeout(240)
def test_every_command_of_the_page_does_what_it_says(heads: Heads, heads_of_its_own: list[Head]) -> None:
    operator = Operator()
    one, two, three = heads_of_its_own
    cluster = Cluster(heads, "etcd", [one, two, three], CONFIG)

    operator.types(one, "cw-headctl database migrate")
    _join(operator, one, two)
    _join(operator, one, three)
    cluster.settled()
    assert operator.types(two, "cw-headctl heads ls").stdout.count(" up ") == 3
    image = one.api("POST", "/images", {"name": "kept"}).data

    operator.types(one, "cw-headctl --head UID services", UID=two.uid, check=False)
    everywhere_told = operator.types(one, "cw-headctl --all-heads services", check=False)
    assert {line.split()[0] for line in everywhere_told.stdout.splitlines()[1:]} == {"page1", "page2", "page3"}
    operator.types(one, "cw-headctl token --lifespan 5min --permissions HeadsRead > /root/token")
    views = operator.types(one, "cw-headctl --all-heads --token-file /root/token heads ls").stdout
    assert views.count(" up ") == 9
    operator.types(three, "cw-headctl leave --yes")
    cluster.heads = [one, two]
    cluster.settled()
    _join(operator, one, three, "--force")
    cluster.heads = [one, two, three]
    cluster.settled()

    three.kill_for_good()
    wait_for(lambda: _down(one) == {three.uid}, "the head to be down", TIMEOUT + SLACK)
    evicted = operator.types(one, "cw-headctl heads evict --down --yes").stdout
    assert three.uid in evicted
    everywhere(
        [one, two], lambda head: set(head.api("GET", "/heads").data) == {one.uid, two.uid}, "the head to be gone"
    )
    operator.types(one, "cw-headctl ca rotate")
    three.revive()
    _join(operator, one, three)
    cluster.settled()
    operator.types(one, "cw-headctl heads evict UID --yes", UID=three.uid)
    everywhere(
        [one, two], lambda head: set(head.api("GET", "/heads").data) == {one.uid, two.uid}, "the head to be gone"
    )
    wait_for(lambda: three.show(ETCD, "ActiveState") != "active", "its etcd to be dismissed", SLACK)

    heads.power_off(two)
    wait_for(lambda: _code(one) == "no-quorum", "the quorum to be missed", TIMEOUT + 2 * SLACK)
    operator.types(one, "cw-headctl database recover --yes")
    assert one.api("GET", f"/image/{image}").data[image]["name"] == "kept"
    assert set(one.api("GET", "/heads").data) == {one.uid}
    heads.power_on(two)
    _join(operator, one, two, "--force")
    cluster.heads = [one, two]
    cluster.settled()
    operator.types(one, "cw-headctl --head UID leave --yes", UID=two.uid)

    assert not operator.open, f"commands of the page that nobody has typed: {', '.join(operator.open)}"


def _down(head: Head) -> set[str]:
    return {found["uid"] for found in head.api("GET", "/heads/down").data}


def _code(head: Head) -> str | None:
    code: str | None = head.api("POST", "/images", {"name": "no"}).body.get("code")
    return code
