"""The kinds of value that a key can have: how each is read, written and described."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_SECONDS = {"ms": 0.001, "s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_BYTES = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_UID = re.compile(r"[a-z0-9]{32}")
_PATTERN = re.compile(r"[A-Za-z0-9_.:@*?\[\]\\-]+")


@dataclass(frozen=True, slots=True)
class Value(Generic[T]):
    """A kind of value. `read` raises ValueError; `allowed` completes "must be ..."."""

    allowed: str
    read: Callable[[str], T]
    write: Callable[[T], str] = str


def _duration(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text)
    if not found or found[2] not in (*_SECONDS, ""):
        raise ValueError
    return float(found[1]) * _SECONDS[found[2] or "s"]


def duration(low: float = 0.0, high: float = 10 * 365 * 86400.0) -> Value[float]:
    """A duration in seconds, within bounds."""

    def read(text: str) -> float:
        seconds = _duration(text)
        if not low <= seconds <= high:
            raise ValueError
        return seconds

    def write(seconds: float) -> str:
        for unit in ("w", "d", "h", "min"):
            if seconds and seconds % _SECONDS[unit] == 0:
                return f"{seconds / _SECONDS[unit]:.0f}{unit}"
        return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"

    bounds = f"between {write(low)} and {write(high)}"
    return Value(f"a duration such as 30s, 10min, 1h or 7d, {bounds}", read, write)


def size(low: int, high: int) -> Value[int]:
    """A size in bytes, within bounds; K, M, G and T are powers of 1024."""

    def read(text: str) -> int:
        found = re.fullmatch(r"(\d+)\s*([KMGT]?)(?:i?B)?", text)
        if not found:
            raise ValueError
        amount = int(found[1]) * _BYTES[found[2]]
        if not low <= amount <= high:
            raise ValueError
        return amount

    def write(amount: int) -> str:
        for unit in ("T", "G", "M", "K"):
            if amount and amount % _BYTES[unit] == 0:
                return f"{amount // _BYTES[unit]}{unit}"
        return str(amount)

    return Value(f"a size such as 1M, between {write(low)} and {write(high)}", read, write)


def number(low: int, high: int, what: str = "a whole number") -> Value[int]:
    """A whole number, within bounds."""

    def read(text: str) -> int:
        if not re.fullmatch(r"\d+", text) or not low <= int(text) <= high:
            raise ValueError
        return int(text)

    return Value(f"{what} between {low} and {high}", read)


def percent() -> Value[int]:
    """A percentage, 1 to 100; the sign may be left out."""
    plain = number(1, 100)
    return Value("a percentage between 1% and 100%", lambda t: plain.read(t.removesuffix("%").strip()), "{}%".format)


def one_of(*words: str) -> Value[str]:
    """One of a few words."""

    def read(text: str) -> str:
        if text not in words:
            raise ValueError
        return text

    return Value("one of " + ", ".join(words), read)


def _switch(text: str) -> bool:
    try:
        return {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}[text.lower()]
    except KeyError:
        raise ValueError from None


def _absolute(text: str) -> Path:
    if not text.startswith("/") or not text.isprintable() or ".." in Path(text).parts:
        raise ValueError
    return Path(text)


def listing(item: Callable[[str], str], allowed: str, *, empty: bool = False) -> Value[tuple[str, ...]]:
    """A list separated by commas or blanks, each item checked, repeated ones refused."""

    def read(text: str) -> tuple[str, ...]:
        items = tuple(item(part) for part in re.split(r"[,\s]+", text.strip()) if part)
        if len(set(items)) != len(items) or not (items or empty):
            raise ValueError
        return items

    return Value(allowed, read, lambda items: ", ".join(items))


def _matching(pattern: re.Pattern[str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError
        return text

    return read


def _address(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch(r"\d{1,5}", port) or not 0 < int(port) < 65536:
        raise ValueError
    import ipaddress

    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if (":" in bare) != host.startswith("["):
        raise ValueError
    ipaddress.ip_address(bare)
    return text


def _uid(text: str) -> str:
    if text and not _UID.fullmatch(text):
        raise ValueError
    return text


def _agent_url(text: str) -> str:
    if text and not re.fullmatch(r"https://[^\s,/@]+:\d{1,5}", text):
        raise ValueError
    return text


def _dotted(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", text):
        raise ValueError
    return text


SWITCH: Value[bool] = Value("yes or no", _switch, lambda on: "yes" if on else "no")
PATH: Value[Path] = Value("an absolute path with no .. in it", _absolute)
UID: Value[str] = Value("32 lower-case letters and digits", _uid)
OPTIONAL_PATH: Value[Path | None] = Value(
    "an absolute path with no .. in it, or nothing",
    lambda text: _absolute(text) if text else None,
    lambda path: str(path or ""),
)
DOTTED: Value[str] = Value("a dotted key name such as head.uid", _dotted)
ADDRESSES = listing(_address, "addresses with ports such as [::]:52390 or 10.0.0.1:52390, separated by commas")
URL: Value[str] = Value("a URL with a port such as https://10.0.0.1:52390, or nothing", _agent_url)
URLS = listing(
    _matching(re.compile(r"https?://[^\s,/@]+:\d{1,5}")),
    "URLs with ports such as https://10.0.0.1:2379, separated by commas, or nothing",
    empty=True,
)
PATTERNS = listing(
    _matching(_PATTERN), "unit names or shell patterns such as clusterware*.service, separated by commas"
)


def words(*allowed: str) -> Value[tuple[str, ...]]:
    """A list of some of a few words."""
    return listing(one_of(*allowed).read, "one or more of " + ", ".join(allowed), empty=False)


def as_text(kind: Value[Any], value: Any) -> str:
    """A value as it would stand in the file."""
    return kind.write(value)
