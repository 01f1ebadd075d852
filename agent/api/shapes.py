"""JSON schemas of everything that the route table names a type for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NotRequired, get_args, get_origin

import msgspec

from agent.api.call import Route

_REF = "#/components/schemas/{name}"

SCHEMAS: dict[str, Any] = {
    "FieldErrors": {
        "description": "What is wrong with which fields of the body.",
        "type": "array",
        "items": {
            "type": "object",
            "required": ["field", "reason"],
            "properties": {"field": {"type": "string"}, "reason": {"type": "string"}},
        },
    },
    "Reason": {"type": "string", "description": "One sentence for a person: what, why, what to do."},
}


def refer(name: str) -> dict[str, Any]:
    """A reference to a schema of the components."""
    return {"$ref": _REF.format(name=name)}


class Shapes:
    """The types of a route table as schemas, each described once."""

    def __init__(self, routes: Sequence[Route]) -> None:
        types = list(dict.fromkeys(_types(routes)))
        schemas, self.components = msgspec.json.schema_components(types, ref_template=_REF)
        self._schemas = dict(zip(types, schemas, strict=True))

    def schema(self, shape: Any) -> dict[str, Any]:
        """The schema of a type of the table, or of any one of those in a tuple."""
        found = [self._schemas[each] for each in _each(shape)]
        return found[0] if len(found) == 1 else {"anyOf": found}


def is_required(shape: Any) -> bool:
    """Whether what has this type always stands in an answer."""
    return get_origin(shape) is not NotRequired


def _types(routes: Iterable[Route]) -> Iterator[Any]:
    for route in routes:
        answers = route.answers
        for shape in (route.body, answers.data, answers.meta, answers.partial, *answers.beside.values()):
            if shape is not None:
                yield from _each(shape)


def _each(shape: Any) -> Iterator[Any]:
    if isinstance(shape, tuple):
        for one in shape:
            yield from _each(one)
    elif get_origin(shape) is NotRequired:
        yield from _each(get_args(shape)[0])
    else:
        yield shape
