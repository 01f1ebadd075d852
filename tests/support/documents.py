"""What the documents say that can be checked: their links and anchors, and the commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCUMENTS = (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md")))
MESSAGES = (
    *sorted((ROOT / "agent").rglob("*.py")),
    *sorted((ROOT / "systemd").glob("*.catalog")),
    *sorted((ROOT / "packaging" / "prometheus").glob("*.yml")),
)
"""What tells operators what to do while the agent runs."""

_LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*$", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_INDENTED = re.compile(r"^(?: {4}|\t)")
_PROMPT = re.compile(r"^(?:[\w@-]+[#$]|[$#])\s+")


class Said(NamedTuple):
    """Something in a document: where, and what."""

    document: Path
    line: int
    text: str

    @property
    def where(self) -> str:
        """For a person."""
        return f"{self.document.relative_to(ROOT)}:{self.line}"


def links(document: Path) -> Iterator[Said]:
    """The targets of its links, but for those into the web."""
    for number, line in enumerate(document.read_text().splitlines(), 1):
        for target in _LINK.findall(_CODE.sub("", line)):
            if not re.match(r"[a-z]+:", target):
                yield Said(document, number, target)


def anchors(document: Path) -> set[str]:
    """The anchors that its headings get, as GitHub makes them."""
    found = set()
    for heading in _HEADING.findall(_FENCE.sub("", document.read_text())):
        bare = re.sub(r"[^\w\- ]", "", heading.replace("`", "")).strip().lower()
        found.add(bare.replace(" ", "-"))
    return found


def code(document: Path) -> Iterator[Said]:
    """Every piece of code: the lines of blocks, joined where one goes on in the next, and what is between backticks."""
    joined = re.sub(r"\\\n\s*", lambda found: " ", document.read_text())
    fenced = False
    for number, line in enumerate(joined.splitlines(), 1):
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or _INDENTED.match(line):
            yield Said(document, number, line.strip())
        else:
            for piece in _CODE.findall(line):
                yield Said(document, number, piece.strip())


def advice(source: Path) -> Iterator[Said]:
    """What a source tells to type: between backticks, in a catalog on lines of its own; what is known later is X."""
    for number, line in enumerate(source.read_text().splitlines(), 1):
        if source.suffix == ".catalog" and _INDENTED.match(line):
            yield Said(source, number, line.strip())
        for piece in _CODE.findall(line):
            yield Said(source, number, re.sub(r"\{[^}]*\}", "X", piece))


def commands(pieces: Iterator[Said], program: str) -> Iterator[tuple[Said, list[str]]]:
    """The uses of a program, in words: of `sudo X a b | grep c` it is ["X", "a", "b"]."""
    for said in pieces:
        text = _PROMPT.sub("", said.text)
        for part in re.split(r"\s(?:\|\|?|&&|>>?|2>|<)(?:\s|$)|\$\(|;\s", text):
            part = re.sub(r"^(?:sudo|exec|time|then|do)\s+|^[A-Z_]+=\S+\s+|^[a-z]+=\$\(", "", part.strip())
            if re.match(rf"{re.escape(program)}(\s|$)", part):
                yield said, words(part)


def words(text: str) -> list[str]:
    """The words of a command line, without a comment at its end and what closes a substitution."""
    try:
        return shlex.split(text.rstrip(")"), comments=True)
    except ValueError:  # an apostrophe in a sentence, or a quotation that goes on in the next line
        return text.split()
