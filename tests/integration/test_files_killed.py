"""A removal that is killed, or done by somebody with few rights: no file is ever lost."""

from __future__ import annotations

import os
import random
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.files import present, write
from tests.support.removals import run, start

NOBODY = 65534
FILES = 4000


def _in_trash(root: Path) -> list[str]:
    return [entry.name for slot in (root / ".trash").glob("[0-9]*") for entry in slot.iterdir()]


@pytest.mark.parametrize("round_", range(4))
def test_a_killed_removal_leaves_every_file_in_its_place_or_in_the_trash(tmp_path: Path, round_: int) -> None:
    root, references = tmp_path / "store", tmp_path / "references"
    names = {f"{n:05d}" for n in range(FILES)}
    write(root, names)
    kept = {f"{n:05d}" for n in range(0, FILES, 8)}
    references.write_text("\n".join(sorted(kept)))

    with start(root, references, "remove") as process:
        # Killed somewhere in the middle: not before the first file has gone.
        limit = time.monotonic() + 30
        while not (root / ".trash").exists() or len(_in_trash(root)) < 1 + round_ * 500:
            assert time.monotonic() < limit
        process.send_signal(signal.SIGKILL)
    trashed = _in_trash(root)
    assert present(root) | set(trashed) == names
    assert present(root) & set(trashed) == set()
    assert 0 < len(trashed) < FILES - len(kept), "it was over before it was killed"

    # Meanwhile somebody refers to one that has gone: a look at the trash brings it back; a second run ends the work.
    rescued = random.Random(round_).choice(trashed)
    references.write_text("\n".join(sorted({*kept, rescued})))
    run(root, references, "tidy")
    assert rescued in present(root)
    answer = run(root, references, "remove")
    assert answer["kept"] == []
    assert present(root) == kept | {rescued}
    assert set(_in_trash(root)) == names - kept - {rescued}


@pytest.fixture
def shared() -> Iterator[Path]:
    """A store of root's in which the group of `nobody` may remove files, as installed; not below pytest's own 0700."""
    with tempfile.TemporaryDirectory(prefix="files-") as place:
        Path(place).chmod(0o755)
        root = Path(place) / "store"
        write(root, ["referenced", "own", "roots", "secret", "closed/inner", "open/inner"])
        os.chown(root, 0, NOBODY)
        root.chmod(0o2775)
        os.chown(root / "own", NOBODY, NOBODY)
        (root.parent / "references").write_text("referenced")
        yield root


def test_a_directory_that_cannot_be_read_makes_the_whole_store_unavailable(shared: Path) -> None:
    (shared / "closed").chmod(0o700)
    before = present(shared)
    for what in ("unused", "remove"):
        answer = run(shared, shared.parent / "references", what, NOBODY)
        assert answer["error"] == "Unavailable"
        assert answer["reason"] == "the file store cannot be used: Permission denied (closed/)"
    assert present(shared) == before


def test_without_the_right_to_leases_only_own_files_are_judged(shared: Path) -> None:
    (shared / "secret").chmod(0o600)
    answer = run(shared, shared.parent / "references", "unused", NOBODY)
    assert answer["unused"] == ["own"]
    assert "Permission denied" in answer["kept"]["roots"]
    assert "cannot be opened: Permission denied" in answer["kept"]["secret"]


def test_files_that_may_not_be_moved_are_kept_and_the_others_go(shared: Path) -> None:
    (shared / "open").chmod(0o755)
    os.chown(shared / "open" / "inner", NOBODY, NOBODY)
    answer = run(shared, shared.parent / "references", "remove", NOBODY)
    assert answer["removed"] == ["own"]
    reasons = {item["filename"]: item["reason"] for item in answer["kept"]}
    assert reasons["open/inner"] == "cannot be moved to the trash: Permission denied"


def test_a_store_that_may_not_be_written_is_a_problem_though_it_can_be_read(shared: Path) -> None:
    shared.chmod(0o755)
    answer = run(shared, shared.parent / "references", "problem", NOBODY)
    assert answer["error"] == "Unavailable"
    assert "may not write" in answer["reason"]
