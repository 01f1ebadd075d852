"""What every `FileStore` does: subclass it with a `files` fixture, and `put` for writing a file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import pytest

from agent.ports import FileStore
from tests.support.files import SetReferences


class Put(Protocol):
    """Writes a file into the store."""

    def __call__(self, filename: str, content: bytes = b"x") -> None: ...


async def _nothing() -> AsyncIterator[Sequence[str]]:
    empty: tuple[Sequence[str], ...] = ()
    for batch in empty:
        yield batch


class FileStoreContract:
    """The walk, the facts, the trash and back."""

    async def test_what_no_reference_names_is_found_in_walk_order(self, files: FileStore, put: Put) -> None:
        for name in ("b/y", "a", "b!", "b/x", "c/d/e", "ref", "z"):
            put(name)
        references = SetReferences({"ref", "b/x", "not/there"})
        sighting = await files.unreferenced(references.references())
        assert sighting.unreferenced == ["a", "b/y", "b!", "c/d/e", "z"]
        assert (sighting.scanned, sighting.references) == (7, 3)

    async def test_how_many_files_were_seen_can_be_asked_during_the_walk(self, files: FileStore, put: Put) -> None:
        for name in ("a", "b", "c"):
            put(name)
        seen: list[int] = []

        async def references() -> AsyncIterator[Sequence[str]]:
            for name in ("a", "c", "z", "zz"):
                yield [name]
                seen.append(files.scanned)

        assert files.scanned == 0
        await files.unreferenced(references())
        assert sorted(seen) == seen
        assert seen[-1] == 3
        assert files.scanned == 0

    async def test_another_spelling_of_a_name_is_a_reference_too(self, files: FileStore, put: Put) -> None:
        put("a")
        put("deep/er/b")
        put("u\u0308ber")
        references = SetReferences({"./a", "deep//er/../er/b", "\u00fcber"})
        assert (await files.unreferenced(references.references())).unreferenced == []

    async def test_facts_are_of_what_is_there(self, files: FileStore, put: Put) -> None:
        put("a", b"12345")
        (facts,) = await files.facts(["nowhere", "a", "no/where"])
        assert (facts.filename, facts.size, facts.links, facts.regular, facts.mounted) == ("a", 5, 1, True, False)

    async def test_a_file_that_nobody_uses_is_looked_into(self, files: FileStore, put: Put) -> None:
        put("a", b"hsqs")
        (look,) = await files.look(await files.facts(["a"]))
        assert (look.busy, look.kind) == (None, "squashfs")

    async def test_a_discarded_file_is_in_the_trash_and_comes_back(self, files: FileStore, put: Put) -> None:
        put("d/a b%2F%", b"12345")
        assert await files.discard(await files.facts(["d/a b%2F%"])) == [None]
        assert (await files.unreferenced(_nothing())).unreferenced == []
        (trashed,) = await files.trash()
        assert (trashed.filename, trashed.size) == ("d/a b%2F%", 5)
        assert await files.now() - trashed.deleted < 60 * 10**9
        assert await files.restore([trashed]) == [None]
        assert await files.trash() == []
        assert (await files.unreferenced(_nothing())).unreferenced == ["d/a b%2F%"]

    async def test_a_file_that_is_not_what_it_was_is_not_discarded(self, files: FileStore, put: Put) -> None:
        put("a")
        facts = await files.facts(["a"])
        put("a", b"other")
        (reason,) = await files.discard(facts)
        assert reason is not None
        assert (await files.unreferenced(_nothing())).unreferenced == ["a"]

    async def test_two_files_of_one_name_lie_in_the_trash_side_by_side(self, files: FileStore, put: Put) -> None:
        for content in (b"1", b"22", b"333", b"4444", b"55555"):
            put("a", content)
            assert await files.discard(await files.facts(["a"])) == [None]
        trash = await files.trash()
        assert sorted(file.size for file in trash) == [1, 2, 3, 4, 5]
        assert len({file.slot for file in trash}) == 5

    async def test_nothing_is_restored_over_another_file(self, files: FileStore, put: Put) -> None:
        put("a", b"old")
        await files.discard(await files.facts(["a"]))
        put("a", b"brand new")
        (reason,) = await files.restore(await files.trash())
        assert reason is not None
        (facts,) = await files.facts(["a"])
        assert facts.size == 9
        assert len(await files.trash()) == 1

    async def test_a_purged_file_is_gone(self, files: FileStore, put: Put) -> None:
        put("a")
        put("b")
        await files.discard(await files.facts(["a", "b"]))
        trash = await files.trash()
        assert await files.purge(trash[:1]) == [None]
        assert await files.trash() == trash[1:]
        assert await files.purge(trash[:1]) != [None]
        assert await files.restore(trash[:1]) != [None]

    async def test_usage_is_a_percentage(self, files: FileStore) -> None:
        assert 0 <= await files.usage() <= 100

    @pytest.mark.parametrize(
        "name", ["../etc/passwd", "/etc/passwd", "a/../../b", "", ".", "a\0b", "x" * 300, "\ud800"]
    )
    async def test_no_name_leads_out_of_the_store(self, files: FileStore, put: Put, name: str) -> None:
        put("a")
        assert await files.facts([name]) == []
