"""Named things that this package brings and other packages add to: properties, materials, readers, calibrators."""

from __future__ import annotations

import difflib
import importlib.metadata
from collections.abc import Collection, Iterator, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")


def nearest(word: str, valid: Collection[str]) -> str:
    """Return the sentence that names the valid word nearest to a wrong one, and all valid words."""
    longer = sorted((name for name in valid if len(word) > 3 and name.startswith(word)), key=len)
    close = longer or difflib.get_close_matches(word, list(valid), n=1, cutoff=0.4)
    hint = f"did you mean `{close[0]}`? " if close else ""
    return f"{hint}Valid: {', '.join(sorted(valid))}."


class Registry(Mapping[str, T], Generic[T]):
    """Things by name: those of this package, and those of any installed package that declares an entry point.

    Another package adds one by an entry point in the group, which is found in every process (daemon workers and jobs
    included), or by :meth:`register` in a process of its own. The name of the entry point is the name of the thing.

    :param what: what the things are, in the singular, for messages.
    :param group: of the entry points, such as ``aiida_siox.properties``.
    """

    def __init__(self, what: str, group: str) -> None:
        self.what, self.group = what, group
        self._items: dict[str, T] = {}
        self._searched = False

    def register(self, name: str, item: T) -> T:
        """Add a thing and return it.

        :raises ValueError: if the name is taken by another.
        """
        if self._items.setdefault(name, item) is not item:
            raise ValueError(f"there are two {self.what}s called `{name}`: rename one of them.")
        return item

    def _all(self) -> dict[str, T]:
        if not self._searched:
            self._searched = True
            for entry_point in importlib.metadata.entry_points(group=self.group):
                self.register(entry_point.name, entry_point.load())
        return self._items

    def __getitem__(self, name: str) -> T:
        """Return a thing.

        :raises KeyError: with the nearest name, if there is none of this name.
        """
        try:
            return self._all()[name]
        except KeyError:
            raise KeyError(f"unknown {self.what} `{name}`: {nearest(name, self._all())}") from None

    def named(self, name: str) -> T:
        """Return a thing that a user named.

        :raises ValueError: with the nearest name, if there is none of this name.
        """
        if name not in self._all():
            raise ValueError(f"unknown {self.what} `{name}`: {nearest(name, self._all())}")
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())
