"""How long certificates have to go; a head's is renewed by itself, a CA by people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agent.diagnosis.certificates import Bears, CertificateSeen, certificates, of_others
from agent.diagnosis.finding import Level

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def seen(bears: Bears, left: float, owner: str = "this head") -> CertificateSeen:
    return CertificateSeen(owner, bears, NOW + timedelta(days=left))


@pytest.mark.parametrize(
    ("bears", "left", "level", "words"),
    [
        (Bears.HEAD, 364, Level.OK, "good for 364 days"),
        (Bears.HEAD, 26, Level.OK, "good for 26 days"),
        (Bears.HEAD, 24, Level.WARNING, "ends in 24 days"),
        (Bears.HEAD, 6, Level.FAILED, "ends in 6 days"),
        (Bears.HEAD, -1, Level.FAILED, "ended 1 day ago"),
        (Bears.CA, 181, Level.OK, "good for 181 days"),
        (Bears.CA, 179, Level.WARNING, "ends in 179 days"),
        (Bears.CA, 29, Level.FAILED, "ends in 29 days"),
        (Bears.CA, 0, Level.FAILED, "ended 0 s ago"),
    ],
)
def test_the_end_is_told_in_time(bears: Bears, left: float, level: Level, words: str) -> None:
    (finding,) = certificates([seen(bears, left)], NOW)
    assert finding.level is level
    assert words in finding.detail


def test_a_ca_that_all_share_is_told_once_and_exchanged_by_people() -> None:
    own = seen(Bears.HEAD, 300)
    cas = [seen(Bears.CA, 20, owner) for owner in ("this head", "a", "b")]
    fine, shared = certificates([own, *cas], NOW)
    assert fine.subject == "certificate of this head"
    assert shared.subject == "CA of the cluster"
    assert "cw-headctl ca rotate" in str(shared.todo)


def test_a_ca_of_one_heads_own_is_told_with_its_name() -> None:
    found = certificates([seen(Bears.CA, 3000), seen(Bears.CA, 10, "a")], NOW)
    assert [(finding.subject, finding.level) for finding in found] == [
        ("CA of this head", Level.OK),
        ("CA of a", Level.FAILED),
    ]


def test_a_certificate_that_ends_with_its_ca_wants_another_ca() -> None:
    found = certificates([seen(Bears.HEAD, 20), seen(Bears.CA, 20)], NOW)
    assert all("`cw-headctl ca rotate`" in str(finding.todo) for finding in found)
    assert "journalctl" in str(certificates([seen(Bears.HEAD, 20), seen(Bears.CA, 21)], NOW)[0].todo)


def test_of_the_other_heads_only_those_are_told_that_were_not_renewed_with_where_to_look() -> None:
    ends = {uid: NOW + timedelta(days=left) for uid, left in (("a", 300), ("b", 24), ("c", 5))}
    found = of_others(ends, NOW + timedelta(days=20), NOW)
    assert [(one.subject, one.level) for one in found] == [
        ("certificate of b", Level.WARNING),
        ("certificate of c", Level.FAILED),
    ]
    assert "cw-headctl ca rotate" in str(found[0].todo)  # renewed, it would end no later
    assert "journalctl" in str(found[1].todo)
    assert of_others({}, NOW, NOW) == []
