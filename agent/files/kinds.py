"""What a file is, told from its content: the magic numbers of what a head node stores."""

from __future__ import annotations

import struct
from collections.abc import Callable

Read = Callable[[int, int], bytes]
"""Reads up to so many bytes (second) at an offset (first); fewer at the end of the file."""

OTHER = "other"

_BEGINNINGS = (
    (b"hsqs", "squashfs"),
    (b"sqsh", "squashfs"),  # big-endian
    (b"070701", "cpio"),
    (b"070702", "cpio"),
    (b"070707", "cpio"),
    (b"\xc7\x71", "cpio"),  # the old binary form, little-endian
    (b"\x1f\x8b\x08", "gzip"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"PACK\0\0\0\x02", "git pack"),
    (b"PACK\0\0\0\x03", "git pack"),
    (b"MZ\0\0zimg", "kernel"),  # an EFI image that unpacks itself
)
_HEAD = 4096
_ISO_DESCRIPTOR = 16 * 2048
_ET_EXEC, _ET_DYN, _PT_LOAD = 2, 3, 1
_KERNEL_SPACE = 1 << 63
"""Where the upper half of a 64-bit address space begins: kernels are linked to run there, programs are not."""


def kind_of(read: Read) -> str:
    """The kind of the file that `read` reads from, or `other`."""
    # An image that boots from a disk as well begins with a boot sector: ask for the descriptor first (ECMA-119, 8.1).
    if read(_ISO_DESCRIPTOR, 6)[1:] == b"CD001":
        return "ISO 9660"
    head = read(0, _HEAD)
    for magic, kind in _BEGINNINGS:
        if head.startswith(magic):
            return kind
    return "kernel" if _is_boot_image(head) or _is_linked_kernel(head) else OTHER


def _is_boot_image(head: bytes) -> bool:
    """x86 bzImage, arm64 and RISC-V Image, arm zImage (Linux: Documentation/arch/*/boot*.rst)."""
    x86 = head[0x1FE:0x200] == b"\x55\xaa" and head[0x202:0x206] == b"HdrS"
    return x86 or head[0x38:0x3C] in (b"ARM\x64", b"RSC\x05") or head[0x24:0x28] == b"\x18\x28\x6f\x01"


def _is_linked_kernel(head: bytes) -> bool:
    """A vmlinux: a 64-bit ELF program whose first loaded segment lies in the kernel's half of the addresses."""
    if head[:5] != b"\x7fELF\x02" or len(head) < 64:
        return False
    order = "<" if head[5] == 1 else ">"
    (program,) = struct.unpack_from(f"{order}H", head, 16)
    (table,) = struct.unpack_from(f"{order}Q", head, 32)
    size, count = struct.unpack_from(f"{order}HH", head, 54)
    if program not in (_ET_EXEC, _ET_DYN) or size < 24:
        return False
    for entry in range(table, min(table + size * count, len(head) - 24), size):
        (segment,) = struct.unpack_from(f"{order}I", head, entry)
        if segment == _PT_LOAD:
            (address,) = struct.unpack_from(f"{order}Q", head, entry + 16)
            return bool(address >= _KERNEL_SPACE)
    return False
