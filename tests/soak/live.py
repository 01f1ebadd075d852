"""Live heads under random faults for as long as one likes: `python -m tests.soak.live --hours 1 --seed 7`.

Three heads of each engine in turn. One fault at a time, chosen from the seed, while every head is written to, and
unused files are removed on all of them. After each fault everything is mended, and then:

- all heads find all heads up, within a minute;
- no record is missing whose writing was answered, and no file that an object refers to;
- nobody was ever found down but the victim of a fault that may kill, and nobody at all after it was mended.

Says what it does; ends with status 1, the seed and the journals at the first thing that is not so.
"""

from __future__ import annotations

import argparse
import collections
import http.client
import random
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.soak.faults import Fault, choose
from tests.support.heads import Head, Heads
from tests.support.heads.cluster import Cluster
from tests.support.heads.watching import Watched, watching
from tests.support.heads.writing import missing, remove, writing

ROUNDS = 20
"""Faults in a row on the same cluster."""
QUIET = 3.0
"""Seconds without a fault in which nobody may be anything but up."""
FILES = 20
"""Files in each store that an object refers to; as many more come and go."""


class Broken(AssertionError):
    """Something that must never happen has happened."""


def main() -> int:
    """Do it; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=0.25)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000)
    parser.add_argument("--engines", default="etcd,sqlite")
    given = parser.parse_args()
    until = time.monotonic() + 3600 * given.hours
    counts: collections.Counter[str] = collections.Counter()
    print(f"seed {given.seed}, {given.hours:g} h", flush=True)
    rng = random.Random(given.seed)
    while time.monotonic() < until:
        for engine in given.engines.split(","):
            if time.monotonic() < until and not _try(engine, rng, until, counts):
                print(f"BROKEN with --seed {given.seed}", flush=True)
                return 1
    print(", ".join(f"{number} x {name}" for name, number in counts.most_common()) + ": nothing broke")
    return 0


def _try(engine: str, rng: random.Random, until: float, counts: collections.Counter[str]) -> bool:
    with Heads() as heads:
        cluster = Cluster(heads, engine)
        cluster.start(heads.boot_all(*(f"{engine}{number}" for number in (1, 2, 3))))
        cluster.settled()
        for head in cluster.heads:
            _furnish(head)
        try:
            for _ in range(ROUNDS):
                if time.monotonic() > until:
                    break
                fault = choose(rng, cluster)
                print(f"{time.strftime('%H:%M:%S')} {engine}: {fault.told}", flush=True)
                counts[fault.name] += 1
                round_(cluster, fault)
        except (Broken, TimeoutError) as err:
            print(f"BROKEN: {err}", file=sys.stderr)
            for head in cluster.heads:
                print(f"--- {head.name}\n{head.journal()[-5000:] if head.is_on else 'off'}", file=sys.stderr)
            return False
    return True


def round_(cluster: Cluster, fault: Fault) -> None:
    """One fault from its beginning to its mending; raises Broken or TimeoutError when something does not hold."""
    with watching(cluster.heads, every=0.1) as seen:
        begun = time.monotonic()
        with writing(cluster.heads, every=0.2) as done, _removing(cluster.heads):
            fault.begin()
            time.sleep(max(0.0, begun + fault.seconds - time.monotonic()))
            cluster.mend()
            cluster.settled(seconds=60)
            time.sleep(1)
        _judge(seen, fault, begun)
        quiet = time.monotonic()
        time.sleep(QUIET)
        if later := seen.said(["suspect", "down", "unknown", "minority"], quiet):
            raise Broken(f"{fault.told}: {QUIET:.0f} s of quiet after it was mended, and then {later}")
    for head in cluster.heads:
        promised = done if cluster.engine == "etcd" else [one for one in done if one.head is head]
        if lost := missing(head, promised):
            raise Broken(f"{fault.told}: {head.name} lost {len(lost)} records that were promised: {sorted(lost)[:5]}")
        present = {path.name for path in head.path(head.store).iterdir()}
        if gone := {_referred(head, number) for number in range(FILES)} - present:
            raise Broken(f"{fault.told}: {head.name} lost files that are referred to: {sorted(gone)}")
    for one in done:
        remove(one.head, [one])


def _judge(seen: Watched, fault: Fault, begun: float) -> None:
    for change in seen.said(["down"], begun):
        if not fault.deadly or change.subject != fault.victim.uid or change.observer == fault.victim.name:
            raise Broken(
                f"{fault.told}: {change.observer} found {change.subject} down, {change.at - begun:.1f} s into it"
            )


def _furnish(head: Head) -> None:
    for number in range(FILES):
        name = _referred(head, number)
        (head.path(head.store) / name).write_bytes(b"x" * 1000)
        answer = head.api("POST", "/images", {"name": name, "content": {"filename": name}})
        if answer.status != 201:
            raise RuntimeError(f"cannot prepare {head.name}: {answer.body}")
    head.run("chmod", "-R", "g+r", head.store)


def _referred(head: Head, number: int) -> str:
    return f"{head.name}-{number}.img"


@contextmanager
def _removing(heads: list[Head]) -> Iterator[None]:
    """Put files into the stores that nothing refers to, and have unused ones removed, again and again."""
    ended = threading.Event()

    def work() -> None:
        number = 0
        while not ended.wait(0.5):
            for head in heads:
                number += 1
                try:
                    head.write(f"{head.store}/junk-{number % FILES}.img", "junk", 0o644)
                    head.api("DELETE", "/head/files/unused?force=1", timeout=5)
                except (OSError, ValueError, http.client.HTTPException):
                    continue  # the head is away; that is what this is about

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


if __name__ == "__main__":
    sys.exit(main())
