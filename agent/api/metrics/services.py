"""The services of this head, and what was done about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from agent.api.metrics.metric import Metric, Sample, counter, gauge
from agent.api.metrics.reading import Reading
from agent.ports import Unit
from agent.services.healing import Healed
from agent.services.units import ENABLED, is_up, short_name

_NEVER = Healed()


def _each(figure: Callable[[Reading, Unit], float]) -> Callable[[Reading], Iterator[Sample]]:
    def read(reading: Reading) -> Iterator[Sample]:
        for unit in reading.rooms.supervisor.units:
            yield (short_name(unit.name),), figure(reading, unit)

    return read


def _states(reading: Reading) -> Iterator[Sample]:
    for unit in reading.rooms.supervisor.units:
        yield (short_name(unit.name), unit.active_state), 1


def _healed(reading: Reading, unit: Unit) -> Healed:
    return reading.rooms.supervisor.healer.counts.get(unit.name, _NEVER)


def _actions(reading: Reading) -> Iterator[Sample]:
    yield from reading.rooms.supervisor.performer.ended.items()


SERVICES: tuple[Metric, ...] = (
    gauge("unit_up", "Whether a service is up.", _each(lambda _, unit: is_up(unit)), ("unit",)),
    gauge(
        "unit_state",
        "1 for systemd's word for what a service is; there is no series for the others.",
        _states,
        ("unit", "state"),
    ),
    gauge(
        "unit_enabled", "Whether a service is enabled.", _each(lambda _, unit: unit.file_state in ENABLED), ("unit",)
    ),
    counter(
        "unit_restarts_total",
        "How often systemd itself restarted a service; begins anew when somebody starts it.",
        _each(lambda _, unit: unit.restarts),
        ("unit",),
    ),
    gauge(
        "unit_healing_paused",
        "Whether a service keeps failing and is left alone for a while: it needs a person.",
        _each(lambda reading, unit: reading.rooms.supervisor.healer.paused(unit.name)),
        ("unit",),
    ),
    counter(
        "unit_healing_starts_total",
        "How often the agent started a service on which systemd had given up.",
        _each(lambda reading, unit: _healed(reading, unit).starts),
        ("unit",),
    ),
    counter(
        "unit_healing_pauses_total",
        "How often such a service was left alone for a while, as it kept failing.",
        _each(lambda reading, unit: _healed(reading, unit).pauses),
        ("unit",),
    ),
    counter(
        "unit_actions_total",
        "Actions on services by how they ended, those of healing among them.",
        _actions,
        ("action", "result"),
    ),
)
