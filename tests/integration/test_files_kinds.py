"""Kinds of real images, made by the tools that make them on a head."""

from __future__ import annotations

import lzma
import struct
import subprocess
from pathlib import Path

import pytest

from agent.adapters.filestore.directory import DirectoryStore
from tests.support.files import FilesRoom, SetReferences, write

KERNEL = Path(__file__).parents[2] / "build/kernel/vmlinuz"
"""A distribution's kernel, which `make setup` fetches."""


def _shell(script: str, cwd: Path) -> None:
    subprocess.run(["bash", "-eo", "pipefail", "-c", script], cwd=cwd, check=True, capture_output=True)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of images."""
    place = tmp_path_factory.mktemp("images")
    store = place / "store"
    store.mkdir()
    write(place, ["tree/etc/hostname", "tree/bin/sh"], b"content\n" * 100)
    for script in (
        "mksquashfs tree store/a.squashfs -quiet -no-progress",
        "mksquashfs tree store/zstd.squashfs -comp zstd -quiet -no-progress",
        "genisoimage -quiet -R -J -o store/a.iso tree",
        "cd tree && find . | cpio --quiet -o -H newc > ../store/newc.cpio",
        "cd tree && find . | cpio --quiet -o -H crc > ../store/crc.cpio",
        "cd tree && find . | cpio --quiet -o -H odc > ../store/odc.cpio",
        "cd tree && find . | cpio --quiet -o -H bin > ../store/bin.cpio",
        "zstd -q store/newc.cpio -o store/initramfs.zst",
        "xz -k -c store/newc.cpio > store/initramfs.xz",
        "gzip -k -c store/newc.cpio > store/initramfs.gz",
        "git init -q tree && cd tree && git add . && "
        "git -c user.name=x -c user.email=x@y commit -qm x && git rev-list --objects --all | "
        "cut -d' ' -f1 | git pack-objects -q ../store/objects && rm -r .git",
    ):
        _shell(script, place)
    (store / "vmlinuz").write_bytes(KERNEL.read_bytes())
    (store / "vmlinux").write_bytes(_unpacked(KERNEL.read_bytes()))
    (store / "program").write_bytes(Path("/bin/true").read_bytes())
    write(store, ["empty"], b"")
    return store


def _unpacked(bzimage: bytes) -> bytes:
    """The beginning of the ELF kernel that is packed in a bzImage (Linux: Documentation/arch/x86/boot.rst)."""
    offset, length = struct.unpack_from("<II", bzimage, 0x248)
    payload = bzimage[(bzimage[0x1F1] + 1) * 512 + offset :][:length]
    if payload.startswith(b"\x02\x21\x4c\x18"):
        return _unlz4(payload[8:], 4096)
    return lzma.LZMADecompressor().decompress(payload)


def _unlz4(block: bytes, size: int) -> bytes:
    """The first bytes of what an LZ4 block holds (lz4_Block_format.md)."""
    out = bytearray()
    at = 0

    def more(length: int) -> int:
        nonlocal at
        byte = 255 if length == 15 else 0
        while byte == 255:
            byte = block[at]
            length += byte
            at += 1
        return length

    while len(out) < size:
        token = block[at]
        at += 1
        literals = more(token >> 4)
        out += block[at : at + literals]
        at += literals
        back = int.from_bytes(block[at : at + 2], "little")
        at += 2
        for _ in range(more(token & 15) + 4):
            out.append(out[-back])
    return bytes(out)


async def test_every_image_has_its_kind(images: Path) -> None:
    files = DirectoryStore(images)
    try:
        survey = await FilesRoom(files, SetReferences()).collector.unused()
    finally:
        files.close()
    kinds = {item.row.filename: item.row.kind for item in survey.unused}
    pack = next(name for name in kinds if name.endswith(".pack"))
    assert kinds.pop(pack) == "git pack"
    assert kinds.pop(pack.replace(".pack", ".idx")) == "other"
    kinds.pop(pack.replace(".pack", ".rev"), None)
    assert kinds == {
        "a.squashfs": "squashfs",
        "zstd.squashfs": "squashfs",
        "a.iso": "ISO 9660",
        "newc.cpio": "cpio",
        "crc.cpio": "cpio",
        "odc.cpio": "cpio",
        "bin.cpio": "cpio",
        "initramfs.zst": "zstd",
        "initramfs.xz": "xz",
        "initramfs.gz": "gzip",
        "vmlinuz": "kernel",
        "vmlinux": "kernel",
        "program": "other",
        "empty": "other",
    }
