"""Which files no reference names: a merge of two sorted streams, block against batch, in bounded memory."""

from __future__ import annotations

import unicodedata
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from posixpath import normpath

from agent.ports import walk_key

_STRIDE = 32
"""How many names are compared in one go: most files are referenced, so most strides are equal."""


def canonical(name: str) -> str:
    """The one spelling that all spellings of a path below the root share."""
    return unicodedata.normalize("NFC", normpath("/" + name).lstrip("/"))


def respelled(references: Sequence[str], root: str) -> set[str]:
    """The canonical spellings of those references that may name a file by another spelling than its own.

    Such are `./a`, `a//b`, `b/../a`, `/a`, a path that begins with the store's own `root`, and letters that
    Unicode can compose in more than one way. The platform writes none of them; a person may.
    """
    text = "/".join(("", *references, ""))
    if text.isascii() and "//" not in text and "/." not in text:
        return set()
    inside = root.rstrip("/") + "/"
    spellings = ((name, canonical(name.removeprefix(inside))) for name in references)
    return {plain for name, plain in spellings if plain != name or not plain.isascii()}


async def named_by(batches: AsyncIterator[Sequence[str]], filenames: Iterable[str], root: str) -> set[str]:
    """Those of `filenames` that a reference names, by any spelling. For a few; for the whole store use Difference."""
    sought = set(filenames)
    by_spelling: dict[str, set[str]] = {}
    for filename in sought:
        by_spelling.setdefault(canonical(filename), set()).add(filename)
    found: set[str] = set()
    async for batch in batches:
        found |= sought.intersection(batch)
        for plain in respelled(batch, root) & by_spelling.keys():
            found |= by_spelling[plain]
    return found


class Difference:
    """What is left of `blocks` (sorted lists of file paths, in walk order) once the references are taken out.

    References come in batches, in walk order too, through `feed`; `finish` says that there are no more. Neither
    stream is ever held as a whole.
    """

    def __init__(self, blocks: Iterator[list[str]], root: str) -> None:
        self.scanned = 0
        """Files seen so far."""
        self.references = 0
        """References seen so far."""
        self._blocks = blocks
        self._root = root
        self._block: list[str] = []
        self._at = 0
        self._left: list[str] = []
        self._respelled: set[str] = set()

    def feed(self, batch: Sequence[str]) -> None:
        """Take a batch of references out of the files."""
        self.references += len(batch)
        unmatched: list[str] = []
        position = 0
        while position < len(batch) and self._load():
            position = self._compare(batch, position, unmatched)
        unmatched += batch[position:]
        self._respelled |= respelled(unmatched, self._root)

    def finish(self) -> list[str]:
        """What no reference names, in walk order."""
        while self._load():
            self._left += self._block[self._at :]
            self._at = len(self._block)
        if not self._respelled:
            return self._left
        return [path for path in self._left if canonical(path) not in self._respelled]

    def _load(self) -> bool:
        """Have files at hand; False when there are no more."""
        while self._at >= len(self._block):
            block = next(self._blocks, None)
            if block is None:
                return False
            self.scanned += len(block)
            self._block, self._at = block, 0
        return True

    def _compare(self, batch: Sequence[str], position: int, unmatched: list[str]) -> int:
        """Go through the block and the batch, from `position`, to the end of either; where the batch was left.

        Adds to `unmatched` the references that no file of the block has for its name.
        """
        block, at = self._block, self._at
        files, references = len(block), len(batch)
        while at < files and position < references:
            path, reference = block[at], batch[position]
            if path == reference:
                same = block[at : at + _STRIDE] == batch[position : position + _STRIDE]
                step = min(_STRIDE, files - at) if same else 1
                at += step
                position += step
            elif walk_key(path) < walk_key(reference):
                self._left.append(path)
                at += 1
            else:
                unmatched.append(reference)
                position += 1
        self._at = at
        return position
