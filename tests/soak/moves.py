"""Live heads that are killed in the middle of what takes heads in and out: `python -m tests.soak.moves --seed 7`.

Three heads with one etcd. Again and again one of them is made to leave, join, be removed, clean, remove files, or
exchange the CA, and an agent or an etcd is killed (SIGKILL) at a moment chosen from the seed. Then the same is asked
for again, and must end it: no record and no file that is referred to is missing, the members of etcd are the heads,
all have one CA, and nothing is locked.

Says what it does; ends with status 1, the seed and the journals at the first thing that is not so.
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.soak.live import Broken
from tests.support.heads import Head, Heads
from tests.support.heads.cluster import ETCD, ETCD_PORT, Cluster, ca_sha256
from tests.support.heads.head import SOCKET, UNIT, wait_for

SETTLE = 90.0
"""Seconds in which everything must be well again: longer than a lock takes to lapse."""
STATE = "/var/lib/clusterware-head-agent"
IMAGES = 20
ASK = ("curl", "--silent", "--fail-with-body", "--unix-socket", f"/{SOCKET}", "--request")
API = "http://head/api/v1"


@dataclass(frozen=True, slots=True)
class Move:
    """A command on a head, and within how many seconds from its beginning something is killed."""

    name: str
    head: Head
    argv: tuple[str, ...]
    within: float
    prepare: Callable[[], object]


def main() -> int:
    """Do it; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=0.25)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000)
    parser.add_argument("--only", default="", help="names of moves, separated by commas")
    given = parser.parse_args()
    until = time.monotonic() + 3600 * given.hours
    print(f"seed {given.seed}, {given.hours:g} h", flush=True)
    rng = random.Random(given.seed)
    counts: collections.Counter[str] = collections.Counter()
    with Heads() as heads:
        cluster = Cluster(heads, "etcd")
        cluster.start(heads.boot_all("etcd1", "etcd2", "etcd3"))
        cluster.settled()
        _furnish(cluster)
        try:
            while time.monotonic() < until:
                round_(cluster, rng, counts, tuple(filter(None, given.only.split(","))))
        except (Broken, TimeoutError, RuntimeError) as err:
            print(f"BROKEN with --seed {given.seed}: {err}", flush=True)
            for head in cluster.heads:
                print(f"--- {head.name}\n{head.journal()[-6000:] if head.is_on else 'off'}", flush=True)
                print(f"--- {head.name}: etcd\n{head.journal(ETCD)[-2000:] if head.is_on else 'off'}", flush=True)
            return 1
    print(", ".join(f"{number} x {name}" for name, number in sorted(counts.items())) + ": nothing broke")
    return 0


def round_(cluster: Cluster, rng: random.Random, counts: collections.Counter[str], only: tuple[str, ...]) -> None:
    """One move with one kill in it, then the same again unharmed, and everything must be well."""
    move = _choose(cluster, rng, only)
    victim = rng.choice([move.head, move.head, *cluster.heads])
    unit = rng.choice([UNIT, UNIT, UNIT, ETCD])
    moment = rng.uniform(0, move.within)
    what = "etcd" if unit == ETCD else "the agent"
    print(f"{time.strftime('%H:%M:%S')} {move.name} on {move.head.name}, ", end="")
    print(f"{what} of {victim.name} killed {moment:.2f} s into it", flush=True)
    counts[move.name] += 1
    move.prepare()
    with subprocess.Popen(move.head.argv(*move.argv), stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as running:
        time.sleep(moment)
        over = running.poll() is not None
        victim.signal(signal.SIGKILL, unit)
        said, _ = running.communicate(timeout=200)
    print(f"    {'it was over; ' if over else ''}status {running.returncode}: {_last(said.decode())}", flush=True)
    for head in cluster.heads:
        wait_for(partial(_answers_or_masked, head), f"{head.name} to answer", 30)
    again = _again(move)
    print(f"    again: {_last(again)}", flush=True)
    _mend(cluster)
    _check(cluster)


def _choose(cluster: Cluster, rng: random.Random, only: tuple[str, ...]) -> Move:
    head, other, third = rng.sample(cluster.heads, 3)
    ctl = "cw-headctl"

    def out() -> None:  # refused while an etcd is not back yet
        wait_for(lambda: not head.run(ctl, "leave", "--yes", check=False).returncode, f"{head.name} to leave", 60)

    def dead() -> None:
        third.kill_for_good()
        wait_for(lambda: third.uid in _down(head), "the verdict", 30)

    moves = [
        Move("leave", head, (ctl, "leave", "--yes"), 4, _nothing),
        Move("join", head, (ctl, "join", "--force", *cluster.invitation(other)), 6, out),
        Move("removal of a live head", head, (ctl, "heads", "evict", third.uid, "--yes"), 0.4, _nothing),
        Move("removal of a dead head", head, (ctl, "heads", "evict", "--down", "--yes"), 0.4, dead),
        Move("ca rotate", head, (ctl, "ca", "rotate"), 15, _nothing),
        Move("clean", head, (*ASK, "POST", f"{API}/database/clean"), 0.4, _nothing),
        Move("files", head, (*ASK, "DELETE", f"{API}/head/files/unused?force=1"), 0.4, lambda: _junk(head)),
    ]
    return rng.choice([move for move in moves if not only or move.name in only])


def _again(move: Move) -> str:
    """Ask again until it is done: what was in the middle of coming back may refuse for a while."""
    until = time.monotonic() + SETTLE
    while True:
        done = move.head.run(*move.argv, check=False, timeout=200)
        told = done.stdout + done.stderr
        settled = (
            "alone",
            "in no cluster with another",
            "404",
            "no head",
            "there is no head",
            "no such",
            "not in the cluster",
        )
        (*_, refusal) = told.strip().splitlines() or [""]  # what it would do, which is told before, has such words too
        if done.returncode == 0 or any(word in refusal for word in settled):
            return told
        if time.monotonic() > until:
            raise Broken(f"{move.name} on {move.head.name}: a second run does not end it: {told}")
        time.sleep(1)


def _mend(cluster: Cluster) -> None:
    """Have everybody in again."""
    for head in cluster.heads:
        for unit in (UNIT, ETCD):
            if head.is_masked(unit):
                head.revive(unit)
    for head in cluster.heads:
        wait_for(partial(_answers, head), f"{head.name} to answer", 30)
    lists = {head.name: set(head.api("GET", "/heads").data) for head in cluster.heads}
    inside = max(cluster.heads, key=lambda head: sum(head.uid in known for known in lists.values()))
    time.sleep(1)
    for head in cluster.heads:
        known = head.uid in inside.api("GET", "/heads").data and inside.uid in lists[head.name]
        if head is not inside and not known:
            head.run("cw-headctl", "join", "--force", *cluster.invitation(inside), timeout=200)


def _check(cluster: Cluster) -> None:
    cluster.settled(seconds=SETTLE)
    uids = {head.uid for head in cluster.heads}
    one = cluster.heads[0]
    try:
        wait_for(lambda: _members(one) == dict.fromkeys(uids, True), "members", SETTLE)
    except TimeoutError:
        raise Broken(f"the members of etcd are {_members(one)}") from None
    if len({ca_sha256(head) for head in cluster.heads}) != 1:
        raise Broken("the heads do not have one CA")
    for head in cluster.heads:
        wait_for(partial(_ready, head), f"{head.name} to be ready", SETTLE)
        images = {image["name"] for image in head.api("GET", "/images").data.values()}
        if lost := {_name(number) for number in range(IMAGES)} - images:
            raise Broken(f"{head.name} lost records: {sorted(lost)}")
        present = {path.name for path in head.path(head.store).iterdir()}
        if gone := {_name(number) for number in range(IMAGES)} - present:
            raise Broken(f"{head.name} lost files that are referred to: {sorted(gone)}")
        wait_for(partial(_cleans, head), f"{head.name} to get the lock", SETTLE)


def _answers_or_masked(head: Head) -> bool:
    return head.is_masked(UNIT) or _answers(head)


def _ready(head: Head) -> bool:
    return head.api("GET", "/readyz").status == 200


def _cleans(head: Head) -> bool:
    return head.api("POST", "/database/clean").status == 200


def _members(head: Head) -> dict[str, bool]:
    """The members of etcd, and whether they vote."""
    tls = ["--cacert", f"{STATE}/etcd-ca.pem", "--cert", f"{STATE}/head.pem"]
    url = f"https://{head.address}:{ETCD_PORT}/v3/cluster/member/list"
    told = head.run("curl", "-s", "--max-time", "2", *tls, "-d", "{}", url, check=False).stdout
    members = json.loads(told)["members"] if told else []
    return {member.get("name", "?"): not member.get("isLearner", False) for member in members}


def _answers(head: Head) -> bool:
    try:
        return head.api("GET", "/healthz", timeout=3).status == 200
    except (OSError, ValueError):
        return False


def _down(head: Head) -> set[str]:
    return {one["uid"] for one in head.api("GET", "/heads/down").data}


def _furnish(cluster: Cluster) -> None:
    for number in range(IMAGES):
        for head in cluster.heads:
            (head.path(head.store) / _name(number)).write_bytes(b"x")
        body = {"name": _name(number), "content": {"filename": _name(number)}}
        if (answer := cluster.heads[0].api("POST", "/images", body)).status != 201:
            raise RuntimeError(f"cannot prepare: {answer.body}")
    for head in cluster.heads:
        head.run("chmod", "-R", "g+r", head.store)


def _junk(head: Head) -> None:
    for number in range(300):
        head.write(f"{head.store}/junk-{number}.img", "junk", 0o644)
    time.sleep(1.5)


def _name(number: int) -> str:
    return f"kept-{number}.img"


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["nothing said"])[-1][:200]


def _nothing() -> None:
    pass


if __name__ == "__main__":
    sys.exit(main())
