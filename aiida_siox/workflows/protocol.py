"""Protocols: named sets of default inputs read from ``protocols/<name>.yaml``, with overrides that are checked."""

from __future__ import annotations

import pathlib
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import yaml
from aiida_quantumespresso.workflows.protocols.utils import ProtocolMixin, recursive_merge

from aiida_siox.checked import DOT
from aiida_siox.materials import Material, load_material
from aiida_siox.registry import nearest

PROTOCOL_FOLDER = pathlib.Path(__file__).parent / "protocols"


def paths_of(key: str, defaults: Mapping[str, Any], path: str = "") -> list[str]:
    """Return the dotted paths at which a key stands in nested defaults."""
    found = []
    for name, value in defaults.items():
        full = f"{path}.{name}" if path else str(name)
        if name == key:
            found.append(full)
        if isinstance(value, Mapping):
            found += paths_of(key, value, full)
    return found


def check_overrides(
    overrides: Any,
    defaults: Mapping[str, Any],
    path: str = "",
    whole: Mapping[str, Any] | None = None,
    open_keys: Collection[str] = (),
) -> None:
    """Refuse overrides whose keys or types do not fit the defaults.

    A default that is an empty mapping accepts any keys (it stands for free-form inputs such as scheduler options);
    a default that is None accepts any value.

    :param overrides: what the user gave.
    :param defaults: the inputs of the protocol, with the same nesting.
    :param path: dotted path of the mapping inside the whole, for the message.
    :param open_keys: names of keys whose values somebody else checks: a name or a mapping, for instance.
    :param whole: all defaults of the protocol, in which a misplaced key is looked for; ``defaults`` when None.
    :raises ValueError: naming the key, the value and the nearest valid key.
    """
    if not isinstance(overrides, Mapping):
        raise ValueError(
            f"overrides at `{path or 'top level'}` must be a mapping of keys to values, got {overrides!r}."
        )
    whole = defaults if whole is None else whole
    for key, value in overrides.items():
        full = f"{path}.{key}" if path else str(key)
        if key not in defaults:
            if isinstance(value, Mapping) and value and set(value) <= set(defaults):
                raise ValueError(
                    f"unknown override key `{full}`: what it holds ({', '.join(map(str, value))}) stands without it "
                    f"at {'`' + path + '`' if path else 'the top'}."
                )
            if places := paths_of(str(key), whole):
                names = " or ".join(f"`{place}`" for place in places)
                raise ValueError(f"unknown override key `{full}`: it stands elsewhere, did you mean {names}?")
            raise ValueError(f"unknown override key `{full}`: {nearest(key, [str(k) for k in defaults])}")
        default = defaults[key]
        if key in open_keys:
            continue
        if isinstance(default, Mapping):
            if default:
                check_overrides(value, default, full, whole, open_keys)
            elif not isinstance(value, Mapping):
                raise ValueError(f"override `{full}` must be a mapping, got {value!r}.")
        elif isinstance(default, bool):
            if not isinstance(value, bool):
                raise ValueError(f"override `{full}` must be true or false, got {value!r}.")
        elif isinstance(default, int | float):
            if isinstance(value, bool) or not isinstance(value, int | float):
                hint = DOT if isinstance(value, str) else ""
                raise ValueError(f"override `{full}` must be a number, got {value!r}.{hint}")
        elif isinstance(default, str):
            if not isinstance(value, str):
                raise ValueError(f"override `{full}` must be text, got {value!r}.")
        elif isinstance(default, list) and not isinstance(value, list):
            raise ValueError(f"override `{full}` must be a list such as {default}, got {value!r}.")


def read_overrides(path: Any) -> dict[str, Any]:
    """Return overrides that are a mapping, None, or the path of a yaml file with one.

    :raises ValueError: if the file is not a yaml mapping.
    """
    if not isinstance(path, pathlib.Path):
        return dict(path or {})
    try:
        data = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as exception:
        raise ValueError(f"{path} is not a readable yaml file: {exception}") from exception
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ValueError(f"{path} must hold a mapping of override keys to values, got {type(data).__name__}.")
    return data


class SioxProtocolMixin(ProtocolMixin):
    """Builder inputs from a protocol, for WorkChains that name their yaml file and their children.

    ``_protocol_name`` is the stem of the file in ``protocols/``; ``_protocol_children`` maps a namespace of the inputs
    to the WorkChain whose protocol fills it, so that overrides of a child are checked by the child's own keys.
    ``_protocol_open_keys`` may hold anything, which the class checks when it builds its inputs.
    """

    _protocol_name: ClassVar[str]
    _protocol_children: ClassVar[dict[str, type[SioxProtocolMixin]]] = {}
    _protocol_open_keys: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def open_keys(cls) -> set[str]:
        """Return the keys whose values this class, or a child, checks by itself."""
        return set(cls._protocol_open_keys).union(*(child.open_keys() for child in cls._protocol_children.values()))

    @classmethod
    def get_protocol_filepath(cls) -> pathlib.Path:
        """Return the path of the yaml file that holds the protocols of this class."""
        return PROTOCOL_FOLDER / f"{cls._protocol_name}.yaml"

    @classmethod
    def get_protocol_inputs(cls, protocol: str | None = None, overrides: Any = None) -> dict[str, Any]:
        """Return the inputs of a protocol with the overrides merged in.

        :param protocol: name of the protocol; the default of the file when None.
        :param overrides: nested mapping, or the path of a yaml file with one; ``material`` is a name, the path of a
            yaml file, or all values of one.
        :returns: where there is a material, all its values under ``material``.
        :raises ValueError: for an unknown protocol or material, or an override that does not fit.
        """
        data = cls._load_protocol_file()
        name = data["default_protocol"] if protocol is None else protocol
        if name not in data["protocols"]:
            raise ValueError(f"unknown protocol `{name}`: {nearest(name, list(data['protocols']))}")
        inputs = recursive_merge(data["default_inputs"], data["protocols"][name])
        inputs.pop("description", None)
        overrides = read_overrides(overrides)
        material = None
        if cls.depends_on_material():
            material = load_material(overrides.pop("material", inputs["material"]))
            inputs = cls._of_material(inputs, material, name, overrides)
        for namespace, child in cls._protocol_children.items():
            given = recursive_merge(inputs.get(namespace) or {}, {})
            if material is not None and child.depends_on_material():
                given["material"] = material.plain()
                if "material" in overrides.get(namespace, {}):
                    raise ValueError(f"`{namespace}.material`: the material stands once, at the top: `material`.")
            inputs[namespace] = child.get_protocol_inputs(name, given)
        check_overrides(overrides, inputs, open_keys=cls.open_keys())
        return recursive_merge(inputs, overrides)

    @classmethod
    def depends_on_material(cls) -> bool:
        """Return whether the protocols of this class have the key ``material``."""
        return "material" in cls._load_protocol_file()["default_inputs"]

    @classmethod
    def _of_material(
        cls, inputs: dict[str, Any], material: Material, protocol: str, overrides: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the inputs of a protocol with what a material changes in it, and all of the material.

        :raises ValueError: if the material changes what is not there.
        """
        for name in ("default", protocol):
            changes = material.protocols.get(name, {}).get(cls._protocol_name, {})
            check_overrides(
                changes, inputs, f"{material.name}: protocols.{name}.{cls._protocol_name}", open_keys=cls.open_keys()
            )
            inputs = recursive_merge(inputs, changes)
        return {**inputs, "material": material.plain()}
