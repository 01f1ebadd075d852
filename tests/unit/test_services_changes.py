"""What a reader of the services' changes is told: the table first, then each change, and no more than is due."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.ports import Changed, Gone, Lost, Snapshot, Unit
from agent.services.changes import MOST_DUE, Changes, Event, Reader, What

A = Unit(name="clusterware-a.service", active_state="active", sub_state="running", load_state="loaded", main_pid=7)
B = replace(A, name="clusterware-b.service", active_state="failed", sub_state="failed", main_pid=0)


@pytest.fixture
def changes() -> Changes:
    changes = Changes()
    changes.hear(Snapshot((B, A)))
    return changes


def told(reader: Reader) -> list[tuple[str, object]]:
    """What is due, with the names of what it is about."""

    def about(event: Event) -> object:
        match event.data:
            case list(rows):
                return [row.name for row in rows]
            case dict(data):
                return data.get("name", data.get("reason"))
            case row:
                return row.name, row.status

    return [(str(event.what), about(event)) for event in reader.take()]


def test_the_table_comes_first_and_then_nothing_that_did_not_change(changes: Changes) -> None:
    reader = changes.reader()
    assert reader.wake.is_set()
    assert told(reader) == [("table", ["clusterware-a", "clusterware-b"])]
    assert not reader.wake.is_set()
    changes.hear(Changed(A))
    assert not reader.wake.is_set()
    assert reader.take() == []


def test_each_change_is_told_with_its_kind_and_a_growing_number(changes: Changes) -> None:
    reader = changes.reader()
    (table,) = reader.take()
    changes.hear(Changed(replace(A, active_state="inactive", main_pid=0)))
    (changed,) = reader.take()
    changes.hear(Changed(replace(A, name="clusterware-c.service")))
    (added,) = reader.take()
    changes.hear(Gone(B.name))
    (removed,) = reader.take()
    assert [changed.what, added.what, removed.what] == [What.CHANGED, What.ADDED, What.REMOVED]
    assert changed.data.status == "down"
    assert removed.data == {"name": "clusterware-b", "unit": "clusterware-b.service"}
    assert table.number < changed.number < added.number < removed.number


def test_a_burst_is_told_once_as_it_is_in_the_end(changes: Changes) -> None:
    reader = changes.reader()
    reader.take()
    for state in ("deactivating", "inactive", "activating", "active", "inactive"):
        changes.hear(Changed(replace(A, active_state=state, main_pid=0)))
    assert told(reader) == [("changed", ("clusterware-a", "down"))]


def test_a_unit_that_came_and_changed_is_added_and_one_that_came_back_has_changed(changes: Changes) -> None:
    reader = changes.reader()
    reader.take()
    new = replace(A, name="clusterware-c.service")
    changes.hear(Changed(new))
    changes.hear(Changed(replace(new, main_pid=9)))
    changes.hear(Gone(B.name))
    changes.hear(Changed(B))
    assert told(reader) == [("added", ("clusterware-c", "up")), ("added", ("clusterware-b", "down"))]
    changes.hear(Gone("clusterware-unknown.service"))
    assert reader.take() == []


def test_systemd_lost_is_said_once_and_the_table_follows_when_it_is_back(changes: Changes) -> None:
    reader = changes.reader()
    reader.take()
    changes.hear(Changed(replace(A, main_pid=9)))
    changes.hear(Lost("the bus is away"))
    changes.hear(Lost("it still is"))
    assert told(reader) == [("lost", "the bus is away")]
    assert told(changes.reader()) == [("lost", "the bus is away")]
    changes.hear(Snapshot((A,)))
    assert told(reader) == [("table", ["clusterware-a"])]


def test_before_anything_was_heard_of_systemd_a_reader_is_told_so() -> None:
    (event,) = Changes().reader().take()
    assert event.what is What.LOST
    assert "not been read" in event.data["reason"]


def test_a_reader_that_does_not_read_holds_no_more_than_names_and_gets_the_table_in_the_end(changes: Changes) -> None:
    reader, other = changes.reader(), changes.reader()
    reader.take()
    other.take()
    for number in range(MOST_DUE + 1):
        changes.hear(Changed(replace(A, name=f"clusterware-{number}.service")))
        other.take()
    ((what, names),) = told(reader)
    assert what == "table"
    assert isinstance(names, list)
    assert len(names) == MOST_DUE + 3
    assert other.take() == []


def test_whoever_has_left_is_told_nothing_more(changes: Changes) -> None:
    reader = changes.reader()
    reader.take()
    reader.close()
    changes.hear(Gone(A.name))
    assert not reader.wake.is_set()
