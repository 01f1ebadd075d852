"""The heartbeat's frame."""

from __future__ import annotations

import pytest

from agent.errors import Malformed
from agent.heads.beat import Beat, decode, encode
from tests.support.people import ME, OTHER, PEER


def test_a_beat_is_read_as_it_was_written() -> None:
    beat = Beat(ME, "boot", 7, {PEER: 0.25}, {OTHER: ("b", 3.0)}, stopping=True, roster="digest", version="1")
    assert decode(encode(beat)) == beat


def test_what_a_later_version_adds_is_passed_over() -> None:
    assert decode(b'{"head":"h","boot":"b","seq":1,"mood":"good"}') == Beat("h", "b", 1)


def test_a_beat_that_names_no_protocol_has_the_first() -> None:
    assert b"protocol" not in encode(Beat("h", "b", 1, protocol=1))
    assert decode(b'{"head":"h","boot":"b","seq":1}').protocol == 1


def test_of_a_newer_protocol_the_core_is_taken_whatever_became_of_the_rest() -> None:
    frame = b'{"head":"h","boot":"b","seq":7,"stopping":true,"protocol":2,"version":"9","heard":[1],"roster":{}}'
    assert decode(frame) == Beat("h", "b", 7, stopping=True, protocol=2, version="9")


def test_nothing_else_is_believed_of_a_newer_protocol() -> None:
    frame = b'{"head":"h","boot":"b","seq":7,"protocol":2,"heard":{"x":1},"stopped":{"x":["b",1]},"roster":"digest"}'
    assert decode(frame) == Beat("h", "b", 7, protocol=2)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"head":"h","boot":"b"}',
        b'{"head":"h","boot":"b","seq":"1"}',
        b'{"head":"h","boot":"b","seq":1,"heard":{"x":-1}}',
        b'{"head":"h","boot":"b","seq":1,"protocol":1,"heard":[1]}',
        b'{"head":"h","boot":"b","protocol":2}',
        b'{"head":"h","boot":"b","seq":1,"heard":{"x":NaN}}',
        b'{"head":"h","boot":"b","seq":1,"stopped":{"x":["b",-0.5]}}',
        b'{"head":"h","boot":"b","seq":1,"heard":{"x":1e300}}',
        b'{"head":"h","boot":"b","seq":1,"stopped":{"x":["b",1e12]}}',
        b'{"head":"h","boot":"b","seq":' + b"9" * 4000 + b"}",
        b'{"head":"h","boot":"' + b"b" * 60_000 + b'","seq":1}',
        b'{"head":"h","boot":"b","seq":1,"later":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    ],
)
def test_what_is_no_beat_is_refused(frame: bytes) -> None:
    with pytest.raises(Malformed):
        decode(frame)
