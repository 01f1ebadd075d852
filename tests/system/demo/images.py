"""A small file store with real images, and the objects that refer to some of them."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any

KERNEL = Path(__file__).parents[3] / "build/kernel/vmlinuz"

OBJECTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/images", {"name": "compute", "content": {"filename": "compute.squashfs"}}),
    (
        "/bootconfigs",
        {
            "name": "compute",
            "image": "compute",
            "kernel": {"filename": "vmlinuz-compute"},
            "initramfs": {"filename": "initramfs-compute.cpio.zst"},
        },
    ),
    ("/repos", {"name": "install", "iso": {"filename": "install.iso"}}),
)
"""Path of the API, and what is posted there; each refers to files that `make` made."""

UNUSED = ("compute.old.01.squashfs", "initramfs-old.cpio.gz", "rescue.iso")
"""Those that nothing refers to."""


def make(store: Path) -> None:
    """Fill a store."""
    with tempfile.TemporaryDirectory() as work:
        tree = Path(work, "tree")
        (tree / "etc").mkdir(parents=True)
        (tree / "etc/hostname").write_text("compute\n")
        (tree / "etc/motd").write_text("A compute node.\n" * 500)
        for name in ("compute.squashfs", "compute.old.01.squashfs"):
            _run(f"mksquashfs {tree} {store / name} -quiet -no-progress")
        for name in ("install.iso", "rescue.iso"):
            _run(f"genisoimage -quiet -R -J -V {name.removesuffix('.iso').upper()} -o {store / name} {tree}")
        archive = f"cd {tree} && find . | cpio --quiet -o -H newc"
        _run(f"{archive} | zstd -q -o {store / 'initramfs-compute.cpio.zst'}")
        _run(f"{archive} | gzip > {store / 'initramfs-old.cpio.gz'}")
    _run(f"cp {KERNEL} {store / 'vmlinuz-compute'}")
    _run(f"chmod 640 {store}/*")


def _run(command: str) -> None:
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"cannot make the images: {command}: {done.stderr.strip()}")
