"""Reading the configuration: our own INI file, and what is needed of the platform's base.ini."""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agent.config.sections import SECTIONS, Config, keys
from agent.config.values import PATH, UID, Value

_KEY = re.compile(r"\s*([^#;\[\s=:][^=:]*?)\s*[=:]\s*(.*?)\s*")
ABSENT = "# absent:"
"""How the unit's stand-in for a credential begins whose file did not exist (SetCredential=)."""
_SECTION = re.compile(r"\s*\[([^\]]+)\]\s*")
_CREDENTIALS = re.compile(r"//[^/\s]*@")
"""A user and a password in a URL, which no sentence about it may repeat."""


class ConfigError(Exception):
    """A configuration that cannot be used; the text is one line: file, line, key, what is allowed."""


@dataclass(slots=True)
class Live:
    """The configuration in force; a reload replaces `config`, and whoever needs it reads it when needed."""

    config: Config


def load(path: Path, environ: Mapping[str, str] | None = None) -> Config:
    """Read `path` and base.ini; raises ConfigError. `environ` tells where credentials are (os.environ)."""
    env = os.environ if environ is None else environ
    given = _own(path)
    config = _build(given)
    base, origin = _base_ini(config, env)
    if not config.head.uid:
        uid = base.get(config.head.base_ini_uid_key, "")
        if not uid:
            raise ConfigError(
                f"{path}: [head] uid: is not set, and {origin} has no {config.head.base_ini_uid_key}; "
                f"must be {UID.allowed}"
            )
        config = replace(config, head=replace(config.head, uid=_value(UID, uid, origin, config.head.base_ini_uid_key)))
    storage = base.get(config.head.base_ini_storage_key)
    if storage and "root" not in given.get("files", {}):
        root = _value(PATH, storage, origin, config.head.base_ini_storage_key)
        config = replace(config, files=replace(config.files, root=root))
    _check_apart(config, path)
    _check_heartbeat(config, path)
    # Anybody may ask for it, and base.ini was not written to be read by others.
    return replace(config, peer_url=_CREDENTIALS.sub("//", base.get("etcd.peer_url", "")))


def reload(live: Live, path: Path, environ: Mapping[str, str] | None = None) -> tuple[list[str], list[str]]:
    """Read the file again. Returns the keys that changed, and those that keep their value until a restart.

    Raises ConfigError and leaves everything as it was when the file is not right.
    """
    fresh, changed, later = load(path, environ), [], []
    for section in SECTIONS:
        old, new = getattr(live.config, section), getattr(fresh, section)
        for name, spec in keys(section).items():
            if getattr(old, name) == getattr(new, name):
                continue
            if spec.metadata["restart"]:
                later.append(f"{section}.{name}")
                new = replace(new, **{name: getattr(old, name)})
            else:
                changed.append(f"{section}.{name}")
        fresh = replace(fresh, **{section: new})
    live.config = replace(fresh, peer_url=live.config.peer_url)
    return changed, later


def _own(path: Path) -> dict[str, dict[str, tuple[str, Any]]]:
    """Our own file: section -> key -> (where, value)."""
    text = _text(path, "--config names it")
    parser = configparser.ConfigParser(
        interpolation=None, strict=True, default_section="\0", empty_lines_in_values=False
    )
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # configparser's documented way to keep case
    try:
        parser.read_string(text, source=str(path))
    except configparser.Error as err:
        raise ConfigError(_parse_failure(path, err)) from err
    lines = _line_numbers(text)
    found: dict[str, dict[str, tuple[str, Any]]] = {}
    for section in parser.sections():
        if section not in SECTIONS:
            raise ConfigError(
                f"{path}:{lines.get((section, ''), 0)}: [{section}] is not a section; "
                f"must be one of {', '.join(SECTIONS)}"
            )
        specs = keys(section)
        for name, raw in parser.items(section):
            where = f"{path}:{lines.get((section, name), 0)}"
            if name not in specs:
                raise ConfigError(f"{where}: [{section}] {name}: is not a key; must be one of {', '.join(specs)}")
            value = _value(specs[name].metadata["kind"], raw, where, f"[{section}] {name}")
            found.setdefault(section, {})[name] = (where, value)
    return found


def _build(given: dict[str, dict[str, tuple[str, Any]]]) -> Config:
    made = {
        section: cls(**{name: value for name, (_, value) in given.get(section, {}).items()})
        for section, cls in SECTIONS.items()
    }
    return Config(**made)


def _value(kind: Value[Any], raw: str, where: str, name: str) -> Any:
    try:
        return kind.read(raw.strip())
    except ValueError:
        shown = _CREDENTIALS.sub("//...@", raw.strip())[:80]
        raise ConfigError(f"{where}: {name}: {shown!r} is not allowed; must be {kind.allowed}") from None


def _check_apart(config: Config, path: Path) -> None:
    """Raises ConfigError where the agent's own files lie in the store: no object refers to them, so they would go."""
    root = config.files.root
    for own in (config.state.directory, config.database.path.parent):
        if own.is_relative_to(root):
            raise ConfigError(
                f"{path}: [files] root: {root} is no store: the agent keeps its keys and its database in {own}, and "
                "they would count as unused files; must be a directory of its own"
            )


def _check_heartbeat(config: Config, path: Path) -> None:
    """Raises ConfigError where heads that live would be called down between two beats, and never be up again."""
    beat = config.heartbeat
    if beat.interval >= beat.suspect:
        raise ConfigError(
            f"{path}: [heartbeat] interval: {beat.interval:g} s is no less than suspect ({beat.suspect:g} s), so heads "
            "that live would be called down; must be at most a third of it, and suspect and timeout come first, on all "
            "heads"
        )


def _text(path: Path, why: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: does not exist, though {why}") from None
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(f"{path}: cannot be read: {getattr(err, 'strerror', None) or 'not UTF-8'}") from None


def _parse_failure(path: Path, err: configparser.Error) -> str:
    match err:
        case configparser.MissingSectionHeaderError():
            return f"{path}:{err.lineno}: comes before any section; must follow a header such as [head]"
        case configparser.DuplicateSectionError():
            return f"{path}:{err.lineno}: [{err.section}] appears twice; must appear once"
        case configparser.DuplicateOptionError():
            return f"{path}:{err.lineno}: [{err.section}] {err.option}: appears twice; must appear once"
        case configparser.ParsingError():
            return f"{path}:{err.errors[0][0] if err.errors else 0}: is not `key = value`; must be that or a comment"
        case _:
            return f"{path}: cannot be parsed: {str(err).splitlines()[0]}"


def _line_numbers(text: str) -> dict[tuple[str, str], int]:
    lines: dict[tuple[str, str], int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := _SECTION.fullmatch(line):
            section = header[1]
            lines[section, ""] = number
        elif (pair := _KEY.fullmatch(line)) and not line[:1].isspace():
            lines[section, pair[1]] = number
    return lines


def _base_ini(config: Config, env: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """The dotted keys of base.ini that we need, and the file's name for messages. It holds secrets: take no more."""
    wanted = {config.head.base_ini_uid_key, config.head.base_ini_storage_key, "etcd.peer_url"}
    path = config.head.base_ini
    credential = Path(env["CREDENTIALS_DIRECTORY"]) / "base.ini" if "CREDENTIALS_DIRECTORY" in env else None
    source = credential if credential and credential.exists() else path
    try:
        text = source.read_text(encoding="utf-8", errors="replace")
    except OSError as err:
        return {}, f"{path} (which cannot be read: {err.strerror})"
    if source == credential and text.startswith(ABSENT):
        return {}, f"{path} (which was not there when the service started)"
    found: dict[str, str] = {}
    for line in text.splitlines():
        pair = _KEY.fullmatch(line)
        if pair and pair[1] in wanted:
            found[pair[1]] = pair[2]
    return found, str(path)
