"""The directories that the configuration names: made where that is safe, complained about where they do not do."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import shlex
import stat
from pathlib import Path

from agent.config import Config
from agent.hostfiles import USER

_STORE_MODE = 0o2775
"""The group may write, and what is made inside belongs to the group."""
_HIDDEN = tuple(map(Path, ("/boot", "/home", "/root", "/run/user", "/tmp", "/var/tmp")))
"""Where the unit's sandbox lets the agent see nothing, or something else."""


_MOST_LINKS = 40
"""Symbolic links on the way to one place, as many as Linux follows."""


def prepare(config: Config) -> list[str]:
    """Make the store, and a state directory of one's own, where they do not exist; returns what was done.

    A store that is there is left as it is unless it is empty, such as a disk that has just been mounted.
    """
    user, group = pwd.getpwnam(USER), grp.getgrnam(USER)
    done = []
    root = config.files.root
    if not os.path.lexists(root):
        _make(root, _STORE_MODE, 0, group.gr_gid)
        done.append(f"Made {root}, for root and the group {USER}")
    elif complaints(config) and _is_new(root):
        os.chown(root, 0, group.gr_gid)
        root.chmod(_STORE_MODE)
        done.append(f"Gave {root}, which is empty, to root and the group {USER}")
    for path in dict.fromkeys((config.state.directory, config.database.path.parent)):
        if not os.path.lexists(path):
            _make(path, 0o700, user.pw_uid, user.pw_gid)
            done.append(f"Made {path}, for the agent alone")
    return done


def complaints(config: Config) -> list[str]:
    """What keeps the agent from working with the file store, each with what to do; empty when all is well."""
    root = config.files.root
    if hidden := next((path for path in _HIDDEN if root.is_relative_to(path)), None):
        return [f"{root} is below {hidden}, which the agent's sandbox hides: choose another place for [files] root"]
    try:
        status = root.lstat()
    except OSError as err:
        return [f"the file store {root} cannot be used: {err.strerror}"]
    place = shlex.quote(str(root))
    if not stat.S_ISDIR(status.st_mode):
        return [f"the file store {root} is not a directory (nor may it be a link): mend [files] root"]
    if status.st_uid == _uid(USER):
        return []
    if status.st_gid == 0:
        return [f"the agent may not remove files of {root}: chgrp {USER} {place} && chmod g+rwxs {place}"]
    if status.st_mode & stat.S_ISVTX or not (status.st_mode & stat.S_IWGRP and status.st_mode & stat.S_ISGID):
        return [f"the agent may not remove files of {root}: chmod g+rwxs,-t {place}"]
    return []


def _is_new(root: Path) -> bool:
    """Whether it is an empty directory of root's, in a place where only root could have put it."""
    status = root.lstat()
    ours = stat.S_ISDIR(status.st_mode) and (status.st_uid, status.st_gid) == (0, 0)
    return guarded(root.parent) and ours and not set(os.listdir(root)) - {"lost+found"}


def _make(path: Path, mode: int, uid: int, gid: int) -> None:
    """Make a directory; those above it become root's. Raises OSError where somebody else could put another there."""
    for above in reversed(path.parents):
        above.mkdir(mode=0o755, exist_ok=True)
        if not guarded(above):
            raise PermissionError(1, "others than root may write there: make it yourself", str(above))
    path.mkdir(mode=0o700)
    os.chown(path, uid, gid)
    path.chmod(mode)


def guarded(directory: Path) -> bool:
    """Whether nobody but root could put another directory in the place of this one, every link on the way included.

    Raises OSError where there is none.
    """
    place, parts, links = Path("/"), list(directory.parts[1:]), 0
    while True:
        status = place.lstat()
        if stat.S_ISLNK(status.st_mode):
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(directory))
            target = Path(os.readlink(place))
            parts[:0] = target.parts[1:] if target.is_absolute() else target.parts
            place = Path("/") if target.is_absolute() else place.parent
        elif status.st_uid != 0 or status.st_mode & (stat.S_IWOTH | stat.S_IWGRP):
            return False
        elif not parts:
            return True
        else:
            part = parts.pop(0)
            place = place.parent if part == ".." else place / part


def _uid(user: str) -> int | None:
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return None
