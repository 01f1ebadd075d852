"""What a clean notices and leaves alone: references of objects to what is not there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from agent.model import Finding, Kind, Record


class FileUse(NamedTuple):
    """One place where an object names a stored file; `field` is dotted, such as `content.filename`."""

    record: Record
    field: str
    filename: str


def file_uses(records: Sequence[Record]) -> Iterator[FileUse]:
    """Every field called `filename`, at any depth, known or not."""
    for record in records:
        pending: list[tuple[str, Any]] = [("", record.body)]
        while pending:
            path, value = pending.pop()
            match value:
                case dict():
                    pending += [(f"{path}.{key}" if path else str(key), item) for key, item in value.items()]
                case list():
                    pending += [(f"{path}[{index}]", item) for index, item in enumerate(value)]
                case str() if path.rpartition(".")[2] == "filename":
                    yield FileUse(record, path, value)


def missing_files(uses: Sequence[FileUse], missing: Collection[str]) -> Iterator[Finding]:
    """One finding for each use of a file that this head does not have."""
    reason = "is not in this head's file store; another head may have it"
    for use in uses:
        if use.filename in missing:
            yield Finding(use.record.kind, use.record.uid, use.field, use.filename, reason)


def missing_images(bootconfigs: Sequence[Record], images: Sequence[Record]) -> Iterator[Finding]:
    """One finding for each boot configuration whose image, a uid or a name, does not exist."""
    known = {image.uid for image in images} | {image.name for image in images}
    for record in bootconfigs:
        image = record.body.get("image")
        if image is not None and not (isinstance(image, str) and image in known):
            yield Finding(Kind.BOOTCONFIG, record.uid, "image", str(image), "there is no such image")
