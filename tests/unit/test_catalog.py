"""The journal's catalog explains exactly what the agent logs, and refers to what those lines hold."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from agent.journald import message_id
from tests.support.log_calls import AGENT, lent_loggers, log_calls

CATALOGS = sorted((AGENT.parent / "systemd").glob("*.catalog"))
CALLS = [call for call in log_calls() if call.level != "debug"]
ALWAYS = frozenset({"head_uid"})
"""What the journal's renderer adds where a call does not pass it."""
BY_COMMAND = frozenset({"local_uid", "local_user"})
"""What is added to every line of the command's own."""
WIDEST = 100
"""Columns: journalctl puts three before each line, and cuts none."""
SECTIONS = ("Cause: ", "Do: ")


class Entry(NamedTuple):
    """One entry: the id, what its header says, its text."""

    message_id: str
    header: dict[str, str]
    text: str

    @property
    def subject(self) -> str:
        return self.header["Subject"]


def entries(catalog: Path) -> list[Entry]:
    """What a catalog holds (systemd's catalog format: header lines, an empty line, the text)."""
    bare = "\n".join(line for line in catalog.read_text().splitlines() if not line.startswith("#"))
    found = []
    for block in re.split(r"^-- ", bare, flags=re.MULTILINE)[1:]:
        first, _, rest = block.partition("\n")
        head, _, text = rest.partition("\n\n")
        header = dict(line.split(": ", 1) for line in head.splitlines())
        found.append(Entry(first.strip(), header, text.strip()))
    return found


ENTRIES = [entry for catalog in CATALOGS for entry in entries(catalog)]
EVENTS = {event for call in CALLS for event in call.events}


def fields_of(event: str) -> frozenset[str]:
    """The fields that every line of an event has."""
    lines = [call for call in CALLS if event in call.events]
    return frozenset.intersection(
        *(call.fields | (BY_COMMAND if call.where.startswith("agent/ctl/") else ALWAYS) for call in lines)
    )


def test_what_may_be_logged_can_be_read_from_the_source() -> None:
    assert lent_loggers() == []
    assert [call.where for call in CALLS if not call.events] == []
    assert len(EVENTS) > 100


def test_every_event_has_an_entry() -> None:
    assert EVENTS - {entry.subject for entry in ENTRIES} == set()


def test_no_entry_is_without_an_event() -> None:
    assert {entry.subject for entry in ENTRIES} - EVENTS == set()


def test_no_event_is_explained_twice() -> None:
    assert [subject for subject, times in Counter(entry.subject for entry in ENTRIES).items() if times > 1] == []


def test_the_ids_are_those_that_the_lines_have() -> None:
    assert [entry.subject for entry in ENTRIES if entry.message_id != message_id(entry.subject)] == []


def test_every_header_is_whole() -> None:
    for entry in ENTRIES:
        assert set(entry.header) == {"Subject", "Defined-By", "Documentation"}, entry.subject
        assert entry.header["Defined-By"] == "ClusterWare head agent", entry.subject
        assert re.fullmatch(r"man:[\w.-]+\([58]\)", entry.header["Documentation"]), entry.subject


def test_each_says_what_happened_then_why_then_what_to_do() -> None:
    for entry in ENTRIES:
        places = [0, *(entry.text.find(f"\n{section}") for section in SECTIONS)]
        assert all(before < after for before, after in pairwise(places)), entry.subject
        assert max(map(len, entry.text.splitlines())) <= WIDEST, entry.subject


def test_the_fields_that_a_text_shows_are_in_every_line_of_its_event() -> None:
    for entry in ENTRIES:
        shown = set(re.findall(r"@([^@\s]+)@", entry.text))
        assert shown <= {name.upper() for name in fields_of(entry.subject)}, entry.subject
