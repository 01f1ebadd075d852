"""What one kind of record looks like, and how a body that a client sent is read against it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import FieldInfo

from agent.errors import FieldError, Invalid
from agent.model import UID_PATTERN, Kind, Record
from agent.ports import Store

Body = dict[str, Any]
Check = Callable[[Any], Any]
"""Gives a field's value, perhaps in a better form; raises ValueError saying how it must be."""

_UID = re.compile(UID_PATTERN)
_PLACE = re.compile(r"(.*) - at `\$([^`]*)`", re.DOTALL)


def plain(value: Any) -> Any:
    """A value as it comes back from the store: through JSON, so that a tuple is a list."""
    return msgspec.json.decode(msgspec.json.encode(value))


def is_uid(value: object) -> bool:
    """Whether it has the form of a UID."""
    return isinstance(value, str) and _UID.fullmatch(value) is not None


async def _as_it_is(store: Store, before: Body, after: Body) -> Body:
    return after


def _unguarded(before: Body, after: Body | None) -> None:
    """Nothing stands against a change."""


@dataclass(frozen=True)
class Spec:
    """One kind of record. The fields of `shape` without a default are required."""

    kind: Kind
    noun: str
    """What a person calls it, with its article: "an image"."""
    shape: type[Struct]
    """The fields that a client may set; its types are what is allowed."""
    name: str | None = None
    """The field that is unique within the kind, where there is one."""
    uid_required: bool = False
    """Whether the client must choose the uid; else one is made when the client gives none."""
    kept: type[Struct] = Struct
    """The fields that are stored and that only the agent sets, each with a default."""
    told: type[Struct] = Struct
    """The fields that are shown and not stored."""
    checks: Mapping[str, Check] = field(default_factory=dict)
    """What the types cannot say, field by field."""
    refine: Callable[[Store, Body, Body], Awaitable[Body]] = _as_it_is
    """What needs the store to be read: given the body before and after, gives the latter anew; raises Invalid."""
    guard: Callable[[Body, Body | None], None] = _unguarded
    """Raises Conflict when a record may not become that, or (None) may not be deleted."""

    @cached_property
    def fields(self) -> dict[str, FieldInfo]:
        """The settable fields by name."""
        return _fields(self.shape)

    @cached_property
    def partial(self) -> type[Struct]:
        """The shape of a PATCH: every field may be left out, or null."""
        fields = [(name, info.type | None, None) for name, info in self.fields.items()]
        return msgspec.defstruct(f"{self.shape.__name__}Patch", fields)

    @cached_property
    def shown(self) -> type[Struct]:
        """The shape of a record as it is shown; what an agent of another version has stored may stand beside it."""
        infos = {**self.fields, **_fields(self.kept), **_fields(self.told)}
        fields = [("uid", str), *((name, info.type) for name, info in infos.items())]
        return msgspec.defstruct(self.shape.__name__.removesuffix("Fields"), fields)

    @cached_property
    def defaults(self) -> Body:
        """What every stored field is while nobody has set it."""
        infos = {**self.fields, **_fields(self.kept)}
        return {name: None if info.required else _default(info) for name, info in infos.items()}

    def view(self, record: Record) -> Body:
        """The record as it is shown: its uid, every known field, and what else is stored."""
        return {"uid": None, **self.defaults, **record.body} | {"uid": record.uid}

    def read_new(self, body: Body) -> tuple[str | None, Body]:
        """The uid, where one was given, and the fields of a record to create; raises Invalid, naming every fault."""
        uid = body.get("uid")
        errors: list[FieldError] = []
        if uid is None and self.uid_required:
            errors.append(FieldError("uid", "is required"))
        elif uid is not None and not is_uid(uid):
            errors.append(FieldError("uid", "must be 32 lower-case letters and digits"))
        return uid, self._settled(self._read(body, None, errors))

    def read_patch(self, body: Body, record: Record) -> Body:
        """What the record becomes when the given fields change; null takes a field back to its default."""
        fields = self._read(body, record, self._same_uid(body, record), partial=True)
        return self._settled({**record.body, **fields})

    def read_replacement(self, body: Body, record: Record) -> Body:
        """What the record becomes when all settable fields change.

        What else is stored stays: the client had no way of sending it.
        """
        fields = self._read(body, record, self._same_uid(body, record))
        return self._settled({**record.body, **dict.fromkeys(self.fields), **fields})

    def described(self) -> dict[str, Body]:
        """Each field's JSON schema, and whether it is required or read-only."""
        uid = {"type": "string", "pattern": UID_PATTERN, "required": self.uid_required, "read_only": False}
        fields: dict[str, Body] = {"uid": uid}
        for shape, read_only in ((self.shape, False), (self.kept, True), (self.told, True)):
            for name, info in _fields(shape).items():
                required = info.required and not read_only
                fields[name] = {**_schema(info.type), "required": required, "read_only": read_only}
                if not info.required:
                    fields[name]["default"] = _default(info)
        return fields

    def _settled(self, body: Body) -> Body:
        """Without the fields that are back at their defaults; what this agent does not know stays as it is."""
        return {name: value for name, value in body.items() if value is not None or name not in self.fields}

    @staticmethod
    def _same_uid(body: Body, record: Record) -> list[FieldError]:
        if "uid" in body and body["uid"] != record.uid:
            return [FieldError("uid", "never changes")]
        return []

    def _read(self, body: Body, record: Record | None, errors: list[FieldError], *, partial: bool = False) -> Body:
        """The given fields, checked and in stored form; those given as null are None. Raises Invalid."""
        given: Body = {}
        for name, value in body.items():
            if name == "uid":
                continue
            try:
                self._is_settable(name, value, record)
                if name in self.fields:
                    given[name] = self._value(name, value)
            except FieldError as err:
                errors.append(err)
        if not partial:
            missing = [n for n, info in self.fields.items() if info.required and n not in body]
            errors += [FieldError(name, "is required") for name in missing]
        if errors:
            raise invalid(self.noun, errors)
        return given

    def _is_settable(self, name: str, value: Any, record: Record | None) -> None:
        if name in self.fields:
            return
        if name in _fields(self.told):
            if record is not None:
                return  # a client that sends back what it was shown; it may be different by now, and is not stored
            raise FieldError(name, "is told by the agent and cannot be set: leave it out")
        if name in self.defaults:
            if record is not None and value == record.body.get(name, self.defaults[name]):
                return
            raise FieldError(name, "is kept by the agent and cannot be set: leave it out")
        raise FieldError(name[:100], f"is not a field of {self.noun}, which has {', '.join(self.fields)}")

    def _value(self, name: str, value: Any) -> Any:
        info = self.fields[name]
        if value is None:
            if info.required:
                raise FieldError(name, "is required and cannot be null")
            return None
        try:
            converted = msgspec.convert(value, info.type)
            if name in self.checks:
                converted = self.checks[name](converted)
        except msgspec.ValidationError as err:
            raise _field_error(name, str(err)) from err
        except ValueError as err:
            raise FieldError(name, str(err)) from err
        return plain(converted)


def invalid(noun: str, errors: Iterable[FieldError]) -> Invalid:
    """The refusal of a body for all its faults at once."""
    faults = list(errors)
    first = "; ".join(f"{fault.field}: {fault.reason}" for fault in faults[:3])
    more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
    return Invalid(f"this is not {noun} as it must be: {first}{more}", fields=faults)


def _field_error(name: str, message: str) -> FieldError:
    """msgspec's message on one value, naming the place inside it as part of the field."""
    if place := _PLACE.fullmatch(message):
        message, inner = place.groups()
        name += inner
    return FieldError(name, message[:1].lower() + message[1:])


def _fields(shape: type[Struct]) -> dict[str, FieldInfo]:
    return {info.name: info for info in msgspec.structs.fields(shape)}


def _default(info: FieldInfo) -> Any:
    return plain(info.default if info.default_factory is msgspec.NODEFAULT else info.default_factory())


def _schema(kind: Any) -> Body:
    """The JSON schema of a type, with what it refers to put in place."""
    (schema,), shapes = msgspec.json.schema_components((kind,))
    inlined: Body = _inlined(schema, shapes)
    return inlined


def _inlined(schema: Any, shapes: Mapping[str, Any]) -> Any:
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _inlined(shapes[schema["$ref"].rpartition("/")[2]], shapes)
        return {key: _inlined(value, shapes) for key, value in schema.items()}
    if isinstance(schema, list):
        return [_inlined(item, shapes) for item in schema]
    return schema
