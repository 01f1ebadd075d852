"""The merge of files with references, whatever the blocks and batches."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.files.difference import Difference, canonical, named_by, respelled
from agent.ports import walk_key

PATH = st.lists(st.text(st.sampled_from("ab!-~é"), min_size=1, max_size=2), min_size=1, max_size=3).map("/".join)


def _cut(items: Sequence[str], at: int) -> list[list[str]]:
    ordered = sorted(set(items), key=walk_key)
    return [ordered[i : i + at] for i in range(0, len(ordered), at)]


@given(st.lists(PATH), st.lists(PATH), st.integers(1, 7), st.integers(1, 7))
def test_what_is_left_is_what_no_reference_names(
    paths: list[str], references: list[str], block: int, batch: int
) -> None:
    difference = Difference(iter(_cut(paths, block)), "/store")
    for some in _cut(references, batch):
        difference.feed(some)
    assert difference.finish() == sorted(set(paths) - set(references), key=walk_key)
    assert difference.scanned == len(set(paths))
    assert difference.references == len(set(references))


def test_many_files_with_a_few_that_nothing_names() -> None:
    paths = [f"{n // 256:02x}/{n:05d}" for n in range(20_000)]
    unreferenced = set(random.Random(7).sample(paths, 200))
    difference = Difference(iter(_cut(paths, 2048)), "/store")
    for batch in _cut([path for path in paths if path not in unreferenced], 5000):
        difference.feed(batch)
    assert set(difference.finish()) == unreferenced


@pytest.mark.parametrize(
    "reference",
    ["a/b", "./a/b", "/a/b", "//a/b", "a//b", "a/./b", "a/c/../b", "a/b/", "../a/b", "/store/a/b", "/store//a/b"],
)
def test_every_spelling_saves_the_file(reference: str) -> None:
    difference = Difference(iter([["a/b", "other"]]), "/store")
    difference.feed([reference])
    assert difference.finish() == ["other"]


@pytest.mark.parametrize(("on_disk", "named"), [("\u00fc", "u\u0308"), ("u\u0308", "\u00fc")])
def test_letters_composed_another_way_save_the_file(on_disk: str, named: str) -> None:
    difference = Difference(iter([[on_disk]]), "/store")
    difference.feed([named])
    assert difference.finish() == []


@given(st.lists(PATH))
def test_plain_spellings_need_no_second_look(references: list[str]) -> None:
    plain = [name for name in references if name.isascii()]
    assert respelled(plain, "/store") == set()


@given(PATH)
def test_a_canonical_spelling_stays_as_it_is(path: str) -> None:
    assert canonical(canonical(path)) == canonical(path)


async def test_a_few_names_are_looked_up_by_any_spelling() -> None:
    async def batches() -> AsyncIterator[Sequence[str]]:
        yield ["./b", "a"]
        yield ["/store/c"]

    assert await named_by(batches(), ["a", "b", "c", "d"], "/store") == {"a", "b", "c"}
