"""Input that is checked when it is given: one base for what yaml files and settings hold, and one wording of errors."""

from __future__ import annotations

import dataclasses
import enum
import types
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, Union, get_args, get_origin

import pydantic
from pydantic import Field, Strict
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema

from aiida_siox.registry import nearest

#: What to write instead of a number that yaml reads as text.
DOT = " Write 1.0e-8, with a dot: yaml reads 1e-8 as text."


def _whole(value: Any) -> Any:
    """Take 3.0e+3 for 3000: yaml writes many whole numbers with a dot."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


#: A number, neither text nor true or false.
Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Positive = Annotated[Number, Field(gt=0)]
NotNegative = Annotated[Number, Field(ge=0)]
Fraction = Annotated[Number, Field(ge=0, le=1)]
#: An integer, which may be written with a dot.
Whole = Annotated[int, pydantic.BeforeValidator(_whole), Strict()]
Count = Annotated[Whole, Field(ge=1)]
Flag = Annotated[bool, Strict()]


@dataclasses.dataclass(frozen=True)
class OneOf:
    """Metadata of a type: one of these values and no other."""

    values: tuple[Any, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], CoreSchema]) -> CoreSchema:
        """Return the schema of pydantic."""
        return core_schema.literal_schema(list(self.values))


class Checked(pydantic.BaseModel):
    """Values with a declared type and range; unknown keys are refused, and nothing can be changed afterwards.

    A validator that compares several values raises ValueError with a sentence without its full stop. One that begins
    with a key in backquotes gets the path of that key: `` `n_points` must be ...``.
    """

    #: What to do about missing keys, for the message.
    remedy: ClassVar[str] = ""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True)

    @classmethod
    def parse(cls, values: Any, path: str = "") -> Self:
        """Build from plain values.

        :param values: what a yaml file or a Dict node holds.
        :param path: where they stand, for messages: ``settings``.
        :raises ValueError: naming key, value, what is allowed and the nearest name.
        """
        try:
            return cls.model_validate(values)
        except pydantic.ValidationError as exception:
            raise ValueError(explain(exception, cls, path)) from None

    @classmethod
    def fault(cls, values: Any, path: str = "") -> str | None:
        """Return what :meth:`parse` says against the values, or None."""
        try:
            cls.parse(values, path)
        except ValueError as exception:
            return str(exception)
        return None

    def plain(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        return self.model_dump(mode="json")


def validated(kind: Any, path: str) -> Callable[[Any, Any], str | None]:
    """Return a port validator.

    :param kind: a model, of a Dict node; or a type such as ``Count``, of a node with one value.
    :param path: name of the port, for messages.
    """
    if isinstance(kind, type) and issubclass(kind, Checked):

        def of_mapping(node: Any, _: Any = None) -> str | None:
            return None if node is None else kind.fault(node.get_dict(), path)

        return of_mapping
    adapter, rule = pydantic.TypeAdapter(kind), describe(FieldInfo.from_annotation(kind))

    def validator(node: Any, _: Any = None) -> str | None:
        try:
            adapter.validate_python(None if node is None else node.value)
        except pydantic.ValidationError:
            return None if node is None else f"`{path}` must be {rule}, got {node.value!r}."
        return None

    return validator


def explain(exception: pydantic.ValidationError, model: type[pydantic.BaseModel], path: str = "") -> str:
    """Return in one sentence for each error which key has which value, and what it may be."""
    errors: list[dict[str, Any]] = [dict(error) for error in exception.errors(include_url=False)]
    for error in errors:
        if error["type"] == "missing" and isinstance(error["loc"][-1], int):  # a list that is too short
            error |= {"type": "too_short", "loc": error["loc"][:-1]}
    missing: dict[str, list[str]] = {}
    for error in errors:
        if error["type"] == "missing":
            missing.setdefault(_dotted(path, error["loc"][:-1]), []).append(str(error["loc"][-1]))
    sentences = [_sentence(error, model, path) for error in errors if error["type"] != "missing"]
    remedy = f": {model.remedy}" if issubclass(model, Checked) and model.remedy else ""
    for place, keys in missing.items():
        sentences.append(
            f"{f'`{place}`' if place else 'the input'} lacks {', '.join(f'`{key}`' for key in keys)}{remedy}."
        )
    return " ".join(dict.fromkeys(sentences))


def _dotted(path: str, where: Collection[Any]) -> str:
    return ".".join([*([path] if path else []), *map(str, where)])


def _sentence(error: Mapping[str, Any], model: type[pydantic.BaseModel], path: str) -> str:
    where, value = list(error["loc"]), error["input"]
    full = _dotted(path, where)
    if error["type"] == "extra_forbidden":
        return f"unknown key `{full}` (value {value!r}): {_nearest_key(str(where[-1]), model, where[:-1], path)}"
    named = f"`{full}`" if full else "the input"
    if error["type"] in ("value_error", "assertion_error"):
        said = error["msg"].partition(", ")[2].rstrip(".")
        if said.startswith("`") and full:
            return f"`{full}.{said[1:]}."
        return f"{named}: {said}." if full else f"{said}."
    try:
        rule = describe(_at(model, where))
    except KeyError:
        rule = error["msg"].removeprefix("Input should be ")
    return f"{named} must be {rule}, got {value!r}.{_hint(error)}"


def _hint(error: Mapping[str, Any]) -> str:
    """Return what to write instead, for text where a number or a word is wanted."""
    value = error["input"]
    if not isinstance(value, str):
        return ""
    if error["type"] in ("literal_error", "enum"):
        valid = error["ctx"]["expected"].replace(" or ", ", ").replace("'", "").split(", ")
        said = nearest(value, valid)
        return f" D{said[1:].partition('?')[0]}?" if said.startswith("did") else ""
    try:
        float(value)
    except ValueError:
        return ""
    return DOT if "float" in error["type"] or "int" in error["type"] else ""


def _nearest_key(key: str, model: type[pydantic.BaseModel], where: list[Any], path: str) -> str:
    """Return where a key stands that was not expected at its place, or the nearest one."""
    if places := [_dotted(path, place) for place in _places(model, key)]:
        return f"it stands elsewhere, did you mean {' or '.join(f'`{place}`' for place in places)}?"
    here = _model_of(_at(model, where)) or model
    return nearest(key, list(here.model_fields))


def _places(model: type[pydantic.BaseModel], key: str) -> list[list[str]]:
    """Return where in a model and those within it a key stands."""
    found = [[key]] if key in model.model_fields else []
    for name, field in model.model_fields.items():
        if inner := _model_of(field):
            found += [[name, *place] for place in _places(inner, key)]
    return found


def _plain(field: FieldInfo) -> FieldInfo:
    """Return a field without the None that it may be as well."""
    parts = [part for part in get_args(field.annotation) if part is not type(None)]
    if get_origin(field.annotation) in (Union, types.UnionType) and len(parts) == 1:
        inner = FieldInfo.from_annotation(parts[0])
        inner.metadata = [*field.metadata, *inner.metadata]
        inner.description = field.description or inner.description
        return inner
    return field


def _model_of(field: FieldInfo) -> type[pydantic.BaseModel] | None:
    annotation = _plain(field).annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel) else None


def _at(model: type[pydantic.BaseModel], where: list[Any]) -> FieldInfo:
    """Return the field at a place.

    :raises KeyError: where there is none: in a union, or behind a validator that pydantic cannot see through.
    """
    field = FieldInfo.from_annotation(model)
    for name in where:
        if inner := _model_of(field):
            field = inner.model_fields[str(name)]
            continue
        inside = [part for part in get_args(_plain(field).annotation) if part is not Ellipsis]
        if not inside or name == "[key]":
            raise KeyError(name)
        index = name if isinstance(name, int) and name < len(inside) else -1
        field = FieldInfo.from_annotation(inside[index])
    return field


def describe(field: FieldInfo) -> str:
    """Return in words what a field may be: its description, or its type and range."""
    nullable = type(None) in get_args(field.annotation) and field.is_required()
    field = _plain(field)
    return (field.description or _words(field)) + (" or null" if nullable else "")


def _words(field: FieldInfo) -> str:
    annotation, origin, parts = field.annotation, get_origin(field.annotation), get_args(field.annotation)
    for mark in field.metadata:
        if isinstance(mark, OneOf):
            return f"one of {', '.join(map(str, mark.values))}"
    if origin is Literal:
        return f"one of {', '.join(map(str, parts))}"
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return f"one of {', '.join(str(choice.value) for choice in annotation)}"
    if annotation is bool:
        return "true or false"
    if annotation is str:
        return "text"
    if annotation in (int, float):
        return f"{'an integer' if annotation is int else 'a number'}{_range(field)}"
    if origin is tuple and Ellipsis not in parts:
        return f"a list of {len(parts)}, each {describe(FieldInfo.from_annotation(parts[0]))}"
    if origin in (list, tuple):
        few = {getattr(mark, "min_length", None) for mark in field.metadata} - {None}
        most = "one or more, " if few else ""
        return f"a list, {most}each {describe(FieldInfo.from_annotation(parts[0]))}"
    if inner := _model_of(field):
        return f"a mapping with {', '.join(inner.model_fields)}"
    if origin in (dict, Mapping):
        return f"a mapping to values, each {describe(FieldInfo.from_annotation(parts[1]))}"
    return "something else"


def _range(field: FieldInfo) -> str:
    """Return the limits that stand on a number: ` above 0 up to 5`."""
    limits = {key: limit for mark in field.metadata for key, limit in _limits(mark).items()}
    low = f" above {limits['gt']:.10g}" if "gt" in limits else f" from {limits['ge']:.10g}" if "ge" in limits else ""
    high = f" below {limits['lt']:.10g}" if "lt" in limits else f" up to {limits['le']:.10g}" if "le" in limits else ""
    return f"{low}{' on' if 'ge' in limits and not high else ''}{high}"


def _limits(mark: Any) -> dict[str, float]:
    return {key: limit for key in ("gt", "ge", "lt", "le") if (limit := getattr(mark, key, None)) is not None}
