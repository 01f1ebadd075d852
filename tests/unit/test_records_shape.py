"""What a head keeps that goes on alone."""

from __future__ import annotations

from agent.model import Kind, Record
from agent.records.shape import CLUSTER, alone

ME, OTHER, IMAGE = "a" * 32, "b" * 32, "c" * 32


def test_its_own_record_and_all_objects_stay_and_nothing_else_of_the_cluster() -> None:
    own = Record(Kind.HEAD, ME, 3, {"ssh_public": "k", "generation": 2, "peer_url": "https://192.0.2.1:52392"})
    image = Record(Kind.IMAGE, IMAGE, 4, {"name": "i"}, "i")
    gone = [
        Record(Kind.CLUSTER, CLUSTER, 1, {"id": "old"}),
        Record(Kind.HEAD, OTHER, 2, {"ssh_public": "k"}),
        Record(Kind.TOMBSTONE, "d" * 32, 5, {}),
        Record(Kind.VERDICT, OTHER, 6, {}),
        Record(Kind.LOCK, "housekeeping", 7, {}),
    ]

    kept = alone([*gone, own, image], own, {"id": "new"})

    assert {(record.kind, record.uid) for record in kept} == {
        (Kind.CLUSTER, CLUSTER),
        (Kind.HEAD, ME),
        (Kind.IMAGE, IMAGE),
    }
    bodies = {record.kind: record.body for record in kept}
    assert bodies[Kind.CLUSTER] == {"id": "new"}
    assert bodies[Kind.HEAD] == {"ssh_public": "k", "generation": 3}
    assert bodies[Kind.IMAGE] == image.body
