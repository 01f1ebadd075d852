"""A body that is not as it must be: the field at fault is named, for programs too."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Struct

from agent.api.call import convert
from agent.errors import Invalid


class Inner(Struct, forbid_unknown_fields=True):
    size: int


class Body(Struct, forbid_unknown_fields=True):
    name: str
    inner: Inner | None = None
    items: tuple[str, ...] = ()


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        ({}, "name", "is required"),
        ({"name": "a", "nmae": 1}, "nmae", "is not known"),
        ({"name": 5}, "name", "expected `str`, got `int`"),
        ({"name": "a", "inner": {"size": "5"}}, "inner.size", "expected `int`, got `str`"),
        ({"name": "a", "inner": {}}, "inner.size", "is required"),
        ({"name": "a", "inner": {"size": 1, "x`\ny": 1}}, "inner.x`\ny", "is not known"),
        ({"name": "a", "items": ["b", None]}, "items[1]", "expected `str`, got `null`"),
    ],
)
def test_the_field_at_fault_is_named(body: dict[str, Any], field: str, reason: str) -> None:
    with pytest.raises(Invalid) as caught:
        convert(body, Body)
    assert [(fault.field, fault.reason) for fault in caught.value.fields] == [(field, reason)]
    assert caught.value.reason == f"the body is not as it must be: {field}: {reason}"
