"""What cw-headctl prints: columns that fit, nothing that a terminal obeys, JSON that every program reads."""

from __future__ import annotations

import json

import pytest

from agent.ctl.outcome import Outcome
from agent.ctl.show import bytes_text, json_text, text
from agent.ctl.table import narrowed
from agent.ctl.waiting import Done, line

HOSTILE = "a\x1b[2Jb\x9b31mc\x07\u202ed\nx"


def shown(outcome: Outcome, columns: int | None = None, *, coloured: bool = False) -> list[str]:
    return text(outcome, columns, coloured=coloured)


def test_a_table_is_aligned_and_ends_without_spaces() -> None:
    lines = shown(Outcome(None, ("name", "size"), [("a", 1), ("longer", None)]))
    assert lines == ["NAME    SIZE", "a       1", "longer  -"]


@pytest.mark.parametrize(
    ("time", "age"),
    [
        ("2026-11-24T11:59:58.500Z", "2s ago"),
        ("2026-11-24T11:58:59.000Z", "61s ago"),
        ("2026-11-24T11:00:00.000Z", "60m ago"),
        ("2026-11-22T12:00:00.000Z", "2d ago"),
        ("2026-11-04T12:00:00.000Z", "20d ago"),
        ("2026-11-24T12:00:03.000Z", "0s ago"),
        ("2026-11-24T12:00:XX.000Z", "2026-11-24T12:00:XX.000Z"),
    ],
)
def test_times_become_ages_where_there_is_no_room_for_them(time: str, age: str) -> None:
    outcome = Outcome(None, ("name", "since", "text"), [("a", time, "x" * 70)])
    noon = 1795521600.0
    assert time in text(outcome, None, coloured=False, now=noon)[1]
    assert f"a     {age}" in text(outcome, 80, coloured=False, now=noon)[1]


def test_nothing_is_said_in_place_of_an_empty_table() -> None:
    assert shown(Outcome(None, ("name",), [], "There is none.", ["And a line."])) == ["There is none.", "And a line."]


@pytest.mark.parametrize("coloured", [False, True])
def test_nothing_of_the_data_is_obeyed_by_a_terminal(coloured: bool) -> None:  # noqa: FBT001
    lines = shown(Outcome(None, ("name", "x"), [(HOSTILE, HOSTILE)], "", [HOSTILE]), 40, coloured=coloured)
    told = "".join(lines).replace("\x1b[1m", "").replace("\x1b[0m", "")
    assert told.isprintable()
    assert "a?[2Jb?31mc??d?x" in told


def test_json_has_nothing_either_and_every_letter_comes_back() -> None:
    value = {"x": HOSTILE + "\x7fü"}
    told = json_text(value)
    assert told.isascii()
    assert told.isprintable()
    assert json.loads(told) == value


def test_a_wide_table_fits_the_terminal_and_the_first_column_stays_whole() -> None:
    uid = "u" * 32
    lines = shown(Outcome(None, ("uid", "state", "description"), [(uid, "up", "d" * 200)]), 60)
    assert max(map(len, lines)) == 60
    assert lines[1].startswith(f"{uid}  up")
    assert lines[1].endswith("…")


SERVICES = [("clusterware-head-agent-etcd", "down", "static", "inactive", "2026-11-24T11:00:00.000Z", "Database")]
COLUMNS = ("name", "status", "enabled", "state", "since", "description")


def test_what_a_narrow_terminal_has_no_room_for_is_named() -> None:
    assert shown(Outcome(None, COLUMNS, SERVICES, lines=["One."]), 40) == [
        "NAME                         STATUS",
        "clusterware-head-agent-etcd  down",
        "No room here for: enabled, state, since, description.",
        "One.",
    ]


def test_on_all_heads_what_a_row_is_about_stays_whole_and_so_does_its_state() -> None:
    rows = [("rack-a", *SERVICES[0]), ("rack-b", "httpd", "up", *SERVICES[0][2:])]
    assert shown(Outcome(None, ("head", *COLUMNS), rows), 40)[:3] == [
        "HEAD    NAME                      STATUS",
        "rack-a  clusterware-head-agent-etcd  down",
        "rack-b  httpd                     up",
    ]


def test_one_long_name_breaks_its_own_line_only() -> None:
    rows = [("n" * 200, "ISO 9660", "1 B"), ("short", "squashfs", "2 B")]
    lines = shown(Outcome(None, ("file", "kind", "size"), rows), 80)
    assert lines[0] == f"{'FILE':40}  KIND      SIZE"
    assert lines[1] == f"{'n' * 200}  ISO 9660  1 B"
    assert lines[2] == f"{'short':40}  squashfs  2 B"


def test_letters_that_are_wide_or_combine_leave_the_columns_straight() -> None:
    rows = [("\u65e5\u672c", "x"), ("e\u0301", "y"), ("abcd", "\u65e5" * 30)]
    lines = shown(Outcome(None, ("name", "note"), rows), 20)
    assert lines == ["NAME  NOTE", "\u65e5\u672c  x", "e\u0301     y", "abcd  " + "\u65e5" * 6 + "…"]


def test_a_table_is_cut_only_at_a_terminal() -> None:
    assert shown(Outcome(None, ("a", "b"), [("x", "y" * 500)]))[1].endswith("y" * 500)


@pytest.mark.parametrize(
    ("total", "left"),
    [(100, [10, 30, 20]), (50, [10, 20, 20]), (40, [10, 15, 15]), (20, [10, 8, 8])],
)
def test_the_widest_give_way_first_and_none_below_its_least(total: int, left: list[int]) -> None:
    assert narrowed([10, 30, 20], [8, 8, 8], total) == left


def test_states_stand_out_where_colours_are_wanted() -> None:
    outcome = Outcome(None, ("uid", "state", "note"), [("a", "up", "down"), ("b", "down", "up")])
    lines = shown(outcome, coloured=True)
    assert "\x1b[32mup" in lines[1]
    assert "\x1b[31mdown" in lines[2]
    assert "\x1b[31mdown" not in lines[1]  # only where a state is told
    assert not any("\x1b" in plain for plain in shown(outcome))


@pytest.mark.parametrize(
    ("amount", "told"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 * 2**30, "5.0 GiB"), (3 * 2**40, "3.0 TiB")],
)
def test_bytes_are_told_as_people_read_them(amount: int, told: str) -> None:
    assert bytes_text(amount) == told


def test_progress_is_a_bar_where_the_end_is_known_and_seconds_elsewhere() -> None:
    assert line("load", 3.2, Done(50, 200), 0, 100) == f"[{'#' * 8:<30}]  25% load, 3 s"
    assert line("load", 3.2, Done(300, 200), 0, 100).startswith(f"[{'#' * 30}] 100%")
    assert line("scan", 61.0, None, 1, 100) == "/ scan ... 61 s"
    assert line("scan", 61.0, Done(0, 0), 1, 100) == "/ scan ... 61 s"
    assert line("scan", 61.0, Done(5000, 0, "walk"), 1, 100) == "/ scan: walk ... 5000, 61 s"
    assert line("load", 3.2, Done(50, 200, "write"), 0, 40) == f"[{'#' * 3:<13}]  25% load: write, 3 s"
    assert len(line("x" * 200, 1.0, None, 0, 40)) == 39
