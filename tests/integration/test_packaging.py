"""What is laid out, and that the specification for RPM lists just that."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from tests.support.documents import MESSAGES, links

CHECKOUT = Path(__file__).parents[2]
NAME = "clusterware-head-agent"
SPEC = CHECKOUT / f"packaging/rpm/{NAME}.spec"
_FOR_RHEL = {"python": "/usr/bin/python3.12", "zshdir": "/usr/share/zsh/site-functions"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the packages for RHEL contain, but for the libraries' being another Python's."""
    place = tmp_path_factory.mktemp("layout")
    subprocess.run(["make", "--no-print-directory", "-s", "man"], cwd=CHECKOUT, check=True)
    command = [str(CHECKOUT / "packaging/install"), str(CHECKOUT), str(place)]
    subprocess.run(command, env={**os.environ, **_FOR_RHEL}, umask=0o077, check=True)
    return place


def test_the_specification_lists_what_is_laid_out_and_nothing_else(root: Path) -> None:
    listed = set(_listed())
    laid = {f"/{path.relative_to(root)}" for path in root.rglob("*") if path.is_symlink() or path.is_file()}

    covering = {file: listed & {file, *map(str, PurePosixPath(file).parents)} for file in laid}

    assert {file for file, entries in covering.items() if not entries} == set()
    assert listed - set().union(*covering.values()) == set()


def test_everybody_may_read_what_is_installed_and_only_root_may_write_it(root: Path) -> None:
    modes = {path: path.stat().st_mode & 0o777 for path in root.rglob("*") if not path.is_symlink()}

    assert set(modes.values()) == {0o644, 0o755}
    assert {path.name for path, mode in modes.items() if mode == 0o755 and path.is_file()} == {NAME, "cw-headctl"}


def test_the_programs_name_the_python_that_they_are_packaged_for(root: Path) -> None:
    first = (root / "usr/sbin/clusterware-head-agent").read_text().splitlines()[0]

    assert first == "#!/usr/bin/python3.12 -I"


def test_what_an_administrator_changed_stays(root: Path) -> None:
    config = root / f"etc/{NAME}/head-agent.ini"
    config.write_text("[head]\n")

    subprocess.run([str(CHECKOUT / "packaging/install"), str(CHECKOUT), str(root)], check=True)

    assert config.read_text() == "[head]\n"


def test_what_operators_are_referred_to_is_installed(root: Path) -> None:
    told = {line for source in (*MESSAGES, *sorted((CHECKOUT / "build/man").iterdir())) for line in _lines(source)}
    named = [path for line in told for path in re.findall(rf"/usr/share/doc/{NAME}/([\w./-]*\w)", line)]

    assert {name for name in named if not (root / f"usr/share/doc/{NAME}" / name).exists()} == set()
    assert {"docs/cw-headctl.md", "docs/operations.md", "docs/upgrade.md"} <= {*named}
    for page in (root / f"usr/share/doc/{NAME}").rglob("*.md"):
        missing = {
            said.text
            for said in links(page)
            if not (page.parent / said.text.partition("#")[0]).exists() and "CHANGELOG.md" not in said.text
        }
        assert missing == set(), page


def _lines(source: Path) -> list[str]:
    return source.read_text().replace("\\-", "-").splitlines()


def _listed() -> Iterator[str]:
    """The paths of the specification's %files section."""
    section = SPEC.read_text().partition("\n%files\n")[2].partition("\n%changelog")[0]
    for line in section.splitlines():
        words = line.replace("%{private}", f"/usr/lib/{NAME}").replace("%{name}", NAME).split()
        if words and words[-1].startswith("/"):
            yield words[-1]
