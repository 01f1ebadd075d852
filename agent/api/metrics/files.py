"""The file store as the last scan and the last look at the trash found it: no scrape scans."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from agent.api.metrics.metric import Metric, Sample, counter, gauge, one
from agent.api.metrics.reading import Reading
from agent.files.trash import Moved


def _files(reading: Reading) -> Iterator[Sample]:
    collector = reading.rooms.collector
    surveys = collector.surveys
    if surveys.ended is not None:
        yield ("referenced",), surveys.referenced
        yield ("unused",), surveys.unused
        yield ("kept",), surveys.kept
    if collector.trash.usage is not None:
        yield ("trash",), collector.trash.content.files


def _bytes(reading: Reading) -> Iterator[Sample]:
    collector = reading.rooms.collector
    if collector.surveys.ended is not None:
        yield ("unused",), collector.surveys.unused_bytes
    if collector.trash.usage is not None:
        yield ("trash",), collector.trash.content.bytes


def _scans(reading: Reading) -> Iterator[Sample]:
    yield ("done",), reading.rooms.collector.surveys.done
    yield ("failed",), reading.rooms.collector.surveys.failed


def _scanning(reading: Reading) -> Iterable[Sample]:
    return one(reading.rooms.collector.surveys.seconds)


def _age(reading: Reading) -> Iterable[Sample]:
    ended = reading.rooms.collector.surveys.ended
    return one(None if ended is None else max(0.0, reading.now - ended))


def _used(reading: Reading) -> Iterable[Sample]:
    usage = reading.rooms.collector.trash.usage
    return one(None if usage is None else usage / 100)


def _watermark(reading: Reading) -> Iterable[Sample]:
    return one(reading.rooms.live.config.files.trash_watermark / 100)


def _moved(which: Callable[[Reading], Moved], *, size: bool) -> Callable[[Reading], Iterable[Sample]]:
    return lambda reading: one(which(reading).bytes if size else which(reading).files)


def _removed(reading: Reading) -> Moved:
    return reading.rooms.collector.removed


def _restored(reading: Reading) -> Moved:
    return reading.rooms.collector.trash.restored


def _purged(reading: Reading) -> Moved:
    return reading.rooms.collector.trash.purged


FILES: tuple[Metric, ...] = (
    gauge(
        "files",
        "Files of the store: referenced, unused, kept (not referenced, and too young or in use) as of the last scan; "
        "trash as of the last look at it, which is taken every ten minutes.",
        _files,
        ("state",),
    ),
    gauge("files_bytes", "Their bytes; those of referenced and kept files are not looked up.", _bytes, ("state",)),
    counter("files_scans_total", "Scans of the file store.", _scans, ("result",)),
    counter("files_scan_seconds_total", "What the scans took that were done, all together.", _scanning),
    gauge("files_last_scan_age_seconds", "Since the last scan was done.", _age),
    counter("files_removed_total", "Files that were moved to the trash.", _moved(_removed, size=False)),
    counter("files_removed_bytes_total", "Their bytes.", _moved(_removed, size=True)),
    counter("files_restored_total", "Files that were put back from the trash.", _moved(_restored, size=False)),
    counter("files_restored_bytes_total", "Their bytes.", _moved(_restored, size=True)),
    counter("files_purged_total", "Files that were removed from the trash for good.", _moved(_purged, size=False)),
    counter("files_purged_bytes_total", "Their bytes.", _moved(_purged, size=True)),
    gauge("files_disk_used_ratio", "How full the store's disk was at the last look at the trash.", _used),
    gauge("files_disk_watermark_ratio", "files.trash_watermark: over it the trash is emptied early.", _watermark),
)
