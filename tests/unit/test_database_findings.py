"""What a clean notices in the objects and leaves alone."""

from __future__ import annotations

from agent.database.findings import file_uses, missing_files, missing_images
from agent.model import Kind, Record

A, B = "a" * 32, "b" * 32


def test_every_field_called_filename_is_a_use_however_deep() -> None:
    body = {
        "name": "rocky",
        "content": {"filename": "rocky.img", "size": 3},
        "extra": [{"filename": "one"}, {"deep": {"filename": "two"}}],
        "filename": "top",
        "filenames": ["not one"],
        "odd": {"filename": 7},
    }
    uses = file_uses([Record(Kind.IMAGE, A, 1, body)])
    assert {(use.field, use.filename) for use in uses} == {
        ("content.filename", "rocky.img"),
        ("extra[0].filename", "one"),
        ("extra[1].deep.filename", "two"),
        ("filename", "top"),
    }


def test_missing_file_is_a_finding_for_each_use() -> None:
    records = [
        Record(Kind.BOOTCONFIG, uid, 1, {"kernel": {"filename": "vmlinuz"}, "initramfs": {"filename": "here"}})
        for uid in (A, B)
    ]
    findings = list(missing_files(list(file_uses(records)), {"vmlinuz"}))
    assert [(f.kind, f.uid, f.field, f.target) for f in findings] == [
        ("bootconfig", A, "kernel.filename", "vmlinuz"),
        ("bootconfig", B, "kernel.filename", "vmlinuz"),
    ]


def test_boot_configuration_may_name_its_image_by_uid_or_name_or_not_at_all() -> None:
    images = [Record(Kind.IMAGE, A, 1, {}, name="rocky")]
    given = ["rocky", A, None, "gone", ["odd"]]
    records = [Record(Kind.BOOTCONFIG, str(n), 1, {"image": image}) for n, image in enumerate(given)]
    records.append(Record(Kind.BOOTCONFIG, "without", 1, {}))
    assert [(f.uid, f.target) for f in missing_images(records, images)] == [("3", "gone"), ("4", "['odd']")]
