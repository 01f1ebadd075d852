"""The package's bytes follow from its sources alone, and what dpkg is told of it is true."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.heads.layers import CHECKOUT
from tests.support.packages import current_tree


def _build(tree: Path, place: Path, umask: int, **environment: str) -> Path:
    """Build the package of a tree into `place`, as somebody with that umask and environment does."""
    command = [str(CHECKOUT / "packaging/deb/build"), str(tree), str(place)]
    done = subprocess.run(
        command, cwd=place.parent, env={**os.environ, **environment}, umask=umask, capture_output=True, check=True
    )
    return Path(done.stdout.decode().strip())


@pytest.mark.timeout(180)  # two compressions by xz, beside other tests
def test_two_builds_in_different_surroundings_give_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    one = current_tree(tmp_path / "one")
    other = tmp_path / "somewhere else/of another name"
    other.parent.mkdir()
    subprocess.run(["cp", "-r", str(one), str(other)], check=True)
    for file in other.rglob("*"):
        os.utime(file, (1_000_000_000, 1_000_000_000))
        file.chmod(file.stat().st_mode & 0o700)
    (tmp_path / "temporary").mkdir()

    builds = [
        _build(one, tmp_path / "a", 0o022, SOURCE_DATE_EPOCH="1700000000"),
        _build(
            other,
            tmp_path / "b",
            0o077,
            SOURCE_DATE_EPOCH="1700000000",
            TZ="Asia/Tokyo",
            LC_ALL="C.UTF-8",
            TMPDIR=str(tmp_path / "temporary"),
            PYTHONHASHSEED="7",
        ),
    ]

    assert builds[0].name == builds[1].name
    assert len({hashlib.sha256(build.read_bytes()).hexdigest() for build in builds}) == 1


def test_the_sums_and_the_size_are_those_of_the_files(tmp_path: Path, current: Path) -> None:
    subprocess.run(["dpkg-deb", "--raw-extract", str(current), str(tmp_path)], check=True)
    told = (tmp_path / "DEBIAN/md5sums").read_text().splitlines()
    files = {
        str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file() and not path.is_symlink()
    }

    summed = {line.split("  ", 1)[1] for line in told}
    size = subprocess.run(["dpkg-deb", "--field", str(current), "Installed-Size"], capture_output=True, check=True)

    assert summed == {name for name in files if not name.startswith(("DEBIAN/", "etc/"))}
    subprocess.run(["md5sum", "--check", "--quiet", "DEBIAN/md5sums"], cwd=tmp_path, check=True)
    assert (tmp_path / "DEBIAN/conffiles").read_text() == "/etc/clusterware-head-agent/head-agent.ini\n"
    kib = sum((tmp_path / name).stat().st_size for name in files if not name.startswith("DEBIAN/")) / 1024
    assert kib <= int(size.stdout) <= kib + len(files)


def test_what_the_units_run_comes_with_the_package_or_with_what_it_names(current: Path) -> None:
    told = subprocess.run(
        ["dpkg-deb", "--field", str(current), "Depends", "Suggests"], capture_output=True, text=True, check=True
    ).stdout
    named = set(re.findall(r"[a-z][a-z0-9.+-]+", told))
    units = "".join(unit.read_text() for unit in (CHECKOUT / "systemd").glob("*.service"))
    programs = set(re.findall(r"^Exec\w+=(/\S+)", units, re.MULTILINE)) - {
        "/usr/lib/clusterware-head-agent/clusterware-head-agent"
    }

    for program in programs:
        places = [program, f"/usr{program}", program.removeprefix("/usr")]
        owners = subprocess.run(["dpkg", "-S", *places], capture_output=True, text=True, check=False).stdout
        assert {owner.partition(":")[0] for owner in owners.splitlines()} & named, program
    assert programs >= {"/usr/bin/etcd", "/usr/bin/systemctl"}
