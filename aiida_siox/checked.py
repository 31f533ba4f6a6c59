"""Input that is checked when it is given: one base for what yaml files and settings hold, and one wording of errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, get_args

import pydantic

from aiida_siox.registry import nearest


class Checked(pydantic.BaseModel):
    """Values with a declared type and range; unknown keys are refused, and nothing can be changed afterwards."""

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

    def plain(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        return self.model_dump(mode="json")


def explain(exception: pydantic.ValidationError, model: type[pydantic.BaseModel], path: str = "") -> str:
    """Return in one sentence for each error which key has which value, and what it may be."""
    return " ".join(_sentence(dict(error), model, path) for error in exception.errors(include_url=False))


def _sentence(error: Mapping[str, Any], model: type[pydantic.BaseModel], path: str) -> str:
    where = [str(part) for part in error["loc"]]
    full = ".".join([*([path] if path else []), *where])
    if error["type"] == "extra_forbidden":
        return f"unknown key `{full}`: {nearest(where[-1], _keys(model, where[:-1]))}"
    if error["type"] == "missing":
        return f"`{full}` is missing."
    said = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"`{full or 'the input'}`: {said[:1].lower()}{said[1:].rstrip('.')}, got {error['input']!r}."


def _keys(model: type[pydantic.BaseModel], where: list[str]) -> list[str]:
    """Return the keys of the model at a place inside another."""
    for name in where:
        field = model.model_fields.get(name)
        if field is None:
            continue  # the index of a list, or the key of a free mapping
        for candidate in (field.annotation, *get_args(field.annotation)):
            if isinstance(candidate, type) and issubclass(candidate, pydantic.BaseModel):
                model = candidate
    return list(model.model_fields)
