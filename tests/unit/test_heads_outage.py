"""What of a failure that is tried again all the time is told."""

from __future__ import annotations

from agent.heads.outage import Outage

PATIENCE = 5.0


def test_what_mends_itself_soon_is_not_told_and_neither_is_its_end() -> None:
    outage = Outage(100.0)
    assert not any(outage.worth_telling("refused", 100.0 + second, PATIENCE) for second in range(5))
    assert not outage.end()


def test_what_lasts_is_told_once_and_once_for_each_new_reason() -> None:
    outage = Outage(100.0)
    told = [outage.worth_telling(why, 105.0 + n, PATIENCE) for n, why in enumerate(["a", "a", "b", "a", "b"])]
    assert told == [True, False, True, False, False]
    assert outage.end()
    assert not outage.end()


def test_reasons_without_end_do_not_fill_the_journal() -> None:
    outage = Outage(100.0)
    assert sum(outage.worth_telling(f"reason {number}", 200.0, PATIENCE) for number in range(100)) == 5


def test_somebody_elses_words_are_told_once() -> None:
    outage = Outage(100.0, reasons=1)
    assert sum(outage.worth_telling(f"reason {number}", 200.0, PATIENCE) for number in range(100)) == 1
    assert outage.end()
