"""Twins of the event Structs that decode fast: ids are looked at all together instead of each by its pattern.

Matching the pattern of every id takes two thirds of the time to decode an event. A twin only bounds their lengths;
`ids_in` and `well_spelled` say the rest. Twins are subclasses, so whatever reads an event reads them.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from contract.envelope import WireId

_ID = Annotated[str, Meta(min_length=1, max_length=128)]


class _Ids(NamedTuple):
    """Where a Struct has ids: in fields, `names` read by `single`; in lists of ids; in Structs in lists."""

    names: tuple[str, ...]
    single: Callable[[Any], Any]
    lists: tuple[str, ...]
    structs: tuple[tuple[str, Callable[[Any], str]], ...]


_IDS: dict[type, _Ids] = {}


def twin(struct: type[Struct], *, strict: bool = False, **options: Any) -> Any:
    """Return the Struct with ids of any characters, and the same for the Structs in it.

    `strict` ones refuse unknown fields: what was skipped was not looked at, such as a number out of range, or bytes
    that are no UTF-8. `options` are those of `msgspec.defstruct`, such as `tag`.
    """
    fields = [
        (one.name, _twin(one.type, strict), msgspec.field(default=one.default, default_factory=one.default_factory))  # type: ignore[call-overload]
        for one in msgspec.structs.fields(struct)
    ]
    if strict:
        options["forbid_unknown_fields"] = True
    # Values from JSON hold no cycles.
    made = msgspec.defstruct(
        struct.__name__,
        fields,
        bases=(struct,),
        frozen=True,
        kw_only=True,
        gc=False,
        module=struct.__module__,
        **options,
    )
    if ids := _find_ids(made):
        _IDS[made] = ids
    return made


def ids_in(event: Any) -> str:
    """Return the ids of a twin in one text, for `well_spelled`."""
    _, single, lists, structs = _IDS[type(event)]
    text = "".join(filter(None, single(event)))
    for name in lists:
        if listed := getattr(event, name):
            text += "".join(listed)
    for name, read in structs:
        if within := getattr(event, name):
            text += "".join(map(read, within))
    return text


def well_spelled(ids: str) -> bool:
    """Say whether all characters are visible ASCII, as in `WireId`: of the printable ones only the space is not."""
    return ids.isascii() and ids.isprintable() and " " not in ids


def _twin(kind: Any, strict: bool) -> Any:
    if kind == WireId:
        return _ID
    arguments = get_args(kind)
    if get_origin(kind) is Annotated:
        return Annotated[_twin(arguments[0], strict), *kind.__metadata__]
    if get_origin(kind) in (Union, UnionType):
        return Union[tuple(_twin(one, strict) for one in arguments)]  # noqa: UP007  (made at run time)
    if get_origin(kind) is list:
        return list[_twin(arguments[0], strict)]  # type: ignore[misc]
    return twin(kind, strict=strict) if _is_struct(kind) else kind


def _find_ids(struct: type[Struct]) -> _Ids | None:
    """Return where the ids are, or None where there are none."""
    names: list[str] = []
    lists: list[str] = []
    structs: list[tuple[str, Callable[[Any], str]]] = []
    for name, whole, kind in (
        (field.name, field.type, kind) for field in msgspec.structs.fields(struct) for kind in _members(field.type)
    ):
        item = get_args(kind)[0] if get_origin(kind) is list else None
        if kind == _ID:
            names.append(name)
        elif item == _ID:
            lists.append(name)
        elif item in _IDS:
            structs += [(name, attrgetter(inner)) for inner in _IDS[item].names]
        elif kind in _IDS:
            if whole is not kind:
                raise TypeError(f"{struct.__name__}.{name} has ids and may be absent: `ids_in` would not find them.")
            names += [f"{name}.{inner}" for inner in _IDS[kind].names]
    if not (names or lists or structs):
        return None
    # Of one name `attrgetter` returns no tuple, and such Structs are only read by the name.
    return _Ids(tuple(names), attrgetter(*names), tuple(lists), tuple(structs))


def _members(kind: Any) -> list[Any]:
    """Return the types of a union, bounds on a list's length left out."""
    if get_origin(kind) is Annotated and kind != _ID:
        return _members(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return [member for one in get_args(kind) for member in _members(one)]
    return [kind]


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Struct)
