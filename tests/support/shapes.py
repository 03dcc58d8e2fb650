"""The shape of a struct and of everything inside it, as text: what may not change without a new format version."""

from __future__ import annotations

from typing import Any

import msgspec.inspect
from msgspec.inspect import (
    CollectionType,
    CustomType,
    DictType,
    EnumType,
    LiteralType,
    Metadata,
    StructType,
    TupleType,
    Type,
    UnionType,
)


def shape_of(kind: type[Any]) -> str:
    """One block a struct, in the order of their names: each field with its type, in the order of the bytes."""
    blocks: dict[str, list[str]] = {}
    _told(msgspec.inspect.type_info(kind), blocks)
    return "\n".join("\n".join(blocks[name]) for name in sorted(blocks)) + "\n"


def _told(kind: Type, blocks: dict[str, list[str]]) -> str:
    """A type in words; structs met for the first time get their block."""
    match kind:
        case StructType():
            _tell_struct(kind, blocks)
            return kind.cls.__name__
        case UnionType():
            return " | ".join(_told(one, blocks) for one in kind.types)
        case CollectionType():
            return f"{_name(kind)}[{_told(kind.item_type, blocks)}]"
        case TupleType():
            return f"{_name(kind)}[{', '.join(_told(one, blocks) for one in kind.item_types)}]"
        case DictType():
            return f"Dict[{_told(kind.key_type, blocks)}, {_told(kind.value_type, blocks)}]"
        case LiteralType():
            return f"Literal{sorted(kind.values, key=str)}"
        case EnumType():
            return f"{kind.cls.__name__}{[member.value for member in kind.cls]}"
        case Metadata():
            return _told(kind.type, blocks)
        case CustomType():
            raise AssertionError(f"{kind.cls}: say here what of it is in the bytes")
        case _:
            return _name(kind)


def _tell_struct(kind: StructType, blocks: dict[str, list[str]]) -> None:
    name = kind.cls.__name__
    if name in blocks:
        return
    form = "array" if kind.array_like else "map"
    tag = "" if kind.tag is None else f", {kind.tag_field} = {kind.tag}"
    blocks[name] = lines = [f"{name} ({form}{tag})"]
    for field in kind.fields:
        optional = "" if field.required else "?"
        lines.append(f"    {field.encode_name}{optional}: {_told(field.type, blocks)}")


def _name(kind: Type) -> str:
    return type(kind).__name__.removesuffix("Type")
