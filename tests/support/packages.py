"""Packages of this version, of the one before it and of a made-up next one, built as `make deb` builds them.

Each is built once for what it is built from, and kept below build/.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.heads.beat import PROTOCOL
from tests.support.heads.layers import CHECKOUT

_BUILDER = CHECKOUT / "packaging/deb/build"
_PREVIOUS = CHECKOUT / "packaging/previous-version"
_KEPT = CHECKOUT / "build/packages/tests"
_SOURCES = ("agent", "systemd", "etc", "packaging", "docs", "CHANGELOG.md", "build/man")
_LIBRARIES = "build/lib/installed"
NEXT = "0.99.0"
"""What the made-up next version calls itself."""


def current() -> Path:
    """The package of this checkout."""
    with tempfile.TemporaryDirectory() as directory:
        return _built(current_tree(Path(directory)), "current")


def previous() -> Path:
    """The package of the version before; raises RuntimeError where git's history does not reach back to it."""
    with tempfile.TemporaryDirectory() as directory:
        return _built(previous_tree(Path(directory)), "previous")


def following() -> Path:
    """The package of a version to come: its database has one more migration, its heartbeat the next protocol."""
    with tempfile.TemporaryDirectory() as directory:
        tree = current_tree(Path(directory))
        _edit(tree / "agent/__init__.py", r'__version__ = ".*"', f'__version__ = "{NEXT}"')
        added = '("CREATE TABLE of_the_next_version (x INTEGER) STRICT",)'
        _edit(tree / "agent/adapters/sqlite/schema.py", r"(?m)^(MIGRATIONS: .*)\)$", rf"\1 {added})")
        _edit(tree / "agent/heads/beat.py", r"(?m)^PROTOCOL = .*$", f"PROTOCOL = {PROTOCOL + 1}")
        return _built(tree, "following")


def previous_tree(directory: Path, commit: str = "") -> Path:
    """The source tree of the version before, laid down in `directory`; raises RuntimeError as `previous` does."""
    commit = commit or _PREVIOUS.read_text().strip()
    git = ["git", "-C", str(CHECKOUT), "-c", f"safe.directory={CHECKOUT}"]
    if subprocess.run([*git, "cat-file", "-e", f"{commit}^{{commit}}"], capture_output=True, check=False).returncode:
        raise RuntimeError(
            f"cannot build the version before this one: {commit}, which {_PREVIOUS.relative_to(CHECKOUT)} names, is "
            f"not in the history here; fetch it: git fetch origin {commit} (a shallow clone: git fetch --unshallow)"
        )
    archive = subprocess.run([*git, "archive", commit], capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", str(directory)], input=archive, check=True)
    return directory


def current_tree(directory: Path) -> Path:
    """What is packaged of this checkout, which may be edited meanwhile."""
    subprocess.run(["make", "--no-print-directory", "-s", "man"], cwd=CHECKOUT, check=True)
    names = [name for name in _SOURCES if (CHECKOUT / name).exists()]
    subprocess.run(["cp", "-r", "--parents", *names, str(directory)], cwd=CHECKOUT, check=True)
    return directory


def _edit(path: Path, old: str, new: str) -> None:
    text, count = re.subn(old, new, path.read_text())
    if count != 1:
        raise RuntimeError(f"cannot make a next version up: {path.name} has {old!r} {count} times, and not once")
    path.write_text(text)


def _built(tree: Path, which: str) -> Path:
    """The package of a tree, in the place of the last of its kind; libraries and packaging are this checkout's."""
    with _alone():
        subprocess.run(["make", "--no-print-directory", "-s", _LIBRARIES], cwd=CHECKOUT, check=True)
        place = _KEPT / which / _digest(tree)
        if not (packages := list(place.glob("*.deb"))):
            shutil.rmtree(place.parent, ignore_errors=True)
            # Not compressed: that takes four fifths of the time, and nothing that is tested depends on it.
            environment = {**os.environ, "compression": "none"}
            argv = [str(_BUILDER), str(tree), str(place)]
            done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=CHECKOUT, env=environment)
            if done.returncode:
                raise RuntimeError(f"cannot build a package: {done.stderr}")
            packages = list(place.glob("*.deb"))
    (package,) = packages
    return package


def _digest(tree: Path) -> str:
    digest = hashlib.sha256()
    trees = [(tree, _SOURCES), (CHECKOUT, ("packaging",))]
    for base, names in trees:
        for path in sorted(path for name in names for path in _files(base / name)):
            digest.update(f"{path.relative_to(base)}\0{path.stat().st_mode:o}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _files(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
    for path in place.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path


@contextmanager
def _alone() -> Iterator[None]:
    """One build at a time, whatever else tests here: they keep what they build in the same place."""
    _KEPT.mkdir(parents=True, exist_ok=True)
    with open(_KEPT / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
