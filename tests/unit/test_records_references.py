"""Whatever could be the name of a stored file counts as a reference to it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.records import references_of


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, []),
        ({"filename": "a"}, ["a"]),
        ({"content": {"filename": "a/b"}, "iso": {"filename": "c"}}, ["a/b", "c"]),
        ({"new": [{"deep": [{"filename": "x"}]}, {"filename": "y"}]}, ["x", "y"]),
        ({"filename": {"filename": "inner"}}, ["inner"]),
        ({"filename": ["a", "b", 3, None]}, ["a", "b"]),
        ({"filename": None, "x": {"filename": 7}}, []),
        ({"filename": ""}, []),
        ({"filename": "nul\0"}, []),
        ({"filename": "./a//b/"}, ["./a//b/", "a/b"]),
        ({"filename": "a/../b"}, ["a/../b", "b"]),
        ({"filename": "/srv/store/a"}, ["/srv/store/a", "a", "srv/store/a", "store/a"]),
        ({"filename": "../store/a"}, ["../store/a", "a", "store/a"]),
        ({"name": "not a file", "filenames": ["no"]}, []),
    ],
)
def test_references(body: dict[str, Any], expected: list[str]) -> None:
    assert references_of(body) == expected


def test_a_path_of_any_length_costs_little() -> None:
    assert len(references_of({"filename": "/a" * 100_000})) <= 65


names = st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=8).filter(
    lambda name: name not in (".", "..")
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=8,
)


@given(value=values, path=st.lists(names, min_size=1, max_size=4), wraps=st.lists(st.booleans(), max_size=5))
def test_a_filename_is_found_at_any_depth(value: Any, path: list[str], wraps: list[bool]) -> None:
    body: Any = {"filename": "/".join(path), "beside": value}
    for as_list in wraps:
        body = [value, body] if as_list else {"key": body, "other": value}
    assert "/".join(path) in references_of({"top": body})
