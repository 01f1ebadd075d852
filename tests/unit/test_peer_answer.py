"""What another head says in a failure, and what of it is taken."""

from __future__ import annotations

from typing import Any

import pytest

from agent.ports import PeerAnswer


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ("no quorum", "no quorum"),
        ("no\nERROR Head removed\x1b[2J\u202e", "no?ERROR Head removed?[2J?"),
        ("x" * 10**6, "x" * 500),
        ("", "it answered 503"),
        (None, "it answered 503"),
        ({"reason": "deep"}, "it answered 503"),
    ],
)
def test_a_reason_is_short_and_printable_whatever_was_said(said: Any, taken: str) -> None:
    assert PeerAnswer(503, {"reason": said}).reason == taken


@pytest.mark.parametrize(("said", "taken"), [("removed", "removed"), ("a\nb" + "c" * 99, "a?b" + "c" * 37), (7, "")])
def test_so_is_a_code(said: Any, taken: str) -> None:
    assert PeerAnswer(403, {"code": said}).code == taken


def test_an_answer_without_an_envelope_has_a_reason_and_no_code() -> None:
    assert (PeerAnswer(500, {}).reason, PeerAnswer(500, {}).code) == ("it answered 500", "")
