"""Kinds by their magic numbers; `tests/integration/test_files_kinds.py` has real images."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.files.kinds import kind_of

ISO = b"\0" * 32768 + b"\x01CD001\x01\0"
BZIMAGE = b"MZ" + b"\0" * 0x1FC + b"\x55\xaa" + b"\xeb\x6aHdrS" + b"\0" * 100


def _kind(content: bytes) -> str:
    return kind_of(lambda offset, length: content[offset : offset + length])


def _elf(*, address: int, program: int = 2, order: str = "<", segment: int = 1) -> bytes:
    ident = b"\x7fELF\x02" + (b"\x01" if order == "<" else b"\x02") + b"\x01" + b"\0" * 9
    header = struct.pack(f"{order}HHIQQQIHHHHHH", program, 62, 1, address, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    first = struct.pack(f"{order}IIQQQQQQ", 4, 0, 0, 0, 0, 0, 0, 0)
    second = struct.pack(f"{order}IIQQQQQQ", segment, 5, 0, address, address, 0, 0, 0)
    return ident + header + first + second


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (ISO, "ISO 9660"),
        (b"\x33\xed" + ISO[2:], "ISO 9660"),
        (b"hsqs....", "squashfs"),
        (b"sqsh....", "squashfs"),
        (b"070701....", "cpio"),
        (b"070702....", "cpio"),
        (b"070707....", "cpio"),
        (b"\xc7\x71....", "cpio"),
        (b"\x1f\x8b\x08....", "gzip"),
        (b"\xfd7zXZ\0....", "xz"),
        (b"\x28\xb5\x2f\xfd....", "zstd"),
        (b"PACK\0\0\0\x02\0\0\0\x03", "git pack"),
        (b"PACKAGES\n", "other"),
        (BZIMAGE, "kernel"),
        (b"MZ" + b"\0" * 600, "other"),
        (b"MZ\0\0zimg" + b"\0" * 50, "kernel"),
        (b"\0" * 0x38 + b"ARM\x64" + b"\0" * 10, "kernel"),
        (b"\0" * 0x38 + b"RSC\x05" + b"\0" * 10, "kernel"),
        (b"\0" * 0x24 + b"\x18\x28\x6f\x01" + b"\0" * 20, "kernel"),
        (_elf(address=0xFFFFFFFF81000000), "kernel"),
        (_elf(address=0xC000000000000000, order=">"), "kernel"),
        (_elf(address=0xFFFF800080000000, program=3), "kernel"),
        (_elf(address=0x400000), "other"),
        (_elf(address=0xFFFFFFFF81000000, program=1), "other"),
        (_elf(address=0xFFFFFFFF81000000, segment=2), "other"),
        (_elf(address=0xFFFFFFFF81000000)[:70], "other"),
        (b"\x7fELF\x02", "other"),
        (b"", "other"),
        (b"hello", "other"),
    ],
)
def test_a_kind_is_told_from_the_content(content: bytes, kind: str) -> None:
    assert _kind(content) == kind


@given(st.binary(max_size=700), st.sampled_from([b"", b"\x7fELF\x02\x01", b"\x7fELF\x02\x02", b"MZ"]))
def test_any_bytes_have_a_kind(content: bytes, beginning: bytes) -> None:
    assert _kind(beginning + content)
