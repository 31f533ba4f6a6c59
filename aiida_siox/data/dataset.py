"""DatasetData: finished sites of many configurations on one calibrated grid, ready to learn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_siox.data.base import check_keys, checked_array
from aiida_siox.data.calibration import CalibrationData
from aiida_siox.data.property_arrays import PropertyArrays, property_layout
from aiida_siox.data.site_table import SiteTableData
from aiida_siox.learning.data.sites import Configuration, SiteSet
from aiida_siox.science import spectra as sp
from aiida_siox.science.digest import mapping_digest
from aiida_siox.science.plain import plain
from aiida_siox.science.properties import Axis

Array = NDArray[np.float64]


class DatasetData(PropertyArrays):
    """Finished sites: spectra, properties, and the configuration that each comes from.

    Arrays, n rows: ``energy_eV`` (n_e,) calibrated; ``spectra`` (n, n_e); ``site_index``, ``configuration`` (n,), the
    last an index into the attribute ``configurations``, a list of mappings with the keys :data:`CONFIGURATION`;
    properties as in :class:`~aiida_siox.data.property_arrays.PropertyArrays`.
    Attributes: :data:`REQUIRED` and :data:`OPTIONAL`, and ``window_eV``, ``n_sites`` and ``digest`` (of the contents).
    """

    CONSTRUCTOR = "from_tables"
    REQUIRED = (
        *("material", "protocol", "changed", "treatment", "sigma_angstrom", "gamma_eV", "settings_digest"),
        "shift_eV",
    )
    OPTIONAL = ("broadening",)
    CONFIGURATION = ("formula", "x", "structure_digest", "n_requested", "n_done", "n_absorbers")

    @classmethod
    def from_arrays(
        cls,
        *,
        energy: ArrayLike,
        spectra: ArrayLike,
        properties: Mapping[str, Array],
        axes: Mapping[str, Axis | None],
        site_index: ArrayLike,
        configuration: ArrayLike,
        configurations: Sequence[Mapping[str, Any]],
        description: Mapping[str, Any],
    ) -> DatasetData:
        """Return an unstored data set.

        :param energy: calibrated, eV, shape (n_e,).
        :param spectra: shape (n, n_e).
        :param properties: by name, shape (n, m); NaN where a site has none.
        :param axes: of the properties that are no scalars.
        :param site_index: shape (n,).
        :param configuration: of each row, shape (n,).
        :param configurations: each with the keys :data:`CONFIGURATION`.
        :param description: values of :data:`REQUIRED` and :data:`OPTIONAL`.
        :raises ValueError: naming what is missing, unknown, of another shape or not finite.
        """
        check_keys("a data set", description, cls.REQUIRED, cls.OPTIONAL)
        for entry in configurations:
            check_keys("a configuration of a data set", entry, cls.CONFIGURATION)
        grid = checked_array("the energies of a data set", energy, (None,), increasing=True).astype(float)
        rows = checked_array("the spectra of a data set", spectra, (None, len(grid))).astype(float)
        n = len(rows)
        index = checked_array("the sites of a data set", site_index, (n,)).astype(int)
        owner = checked_array("the configurations of a data set", configuration, (n,)).astype(int)
        if n and not 0 <= owner.min() <= owner.max() < len(configurations):
            raise ValueError(f"a site belongs to configuration {owner.max()}, but there are {len(configurations)}.")
        arrays, described = property_layout(n, properties, axes)
        contents = {
            "settings_digest": description["settings_digest"],
            "shift_eV": round(float(description["shift_eV"]), 6),
            "window": [float(grid[0]), float(grid[-1]), len(grid)],
            "properties": sorted(properties),
            "rows": [
                [configurations[c]["structure_digest"], i] for c, i in zip(owner.tolist(), index.tolist(), strict=True)
            ],
        }
        own = {"energy_eV": grid, "spectra": rows, "site_index": index, "configuration": owner}
        attributes = {
            **plain(description),
            **described,
            "configurations": plain(list(configurations)),
            "window_eV": contents["window"][:2],
            "n_sites": n,
            "digest": mapping_digest(contents),
        }
        return cls.filled({**own, **arrays}, attributes)

    @classmethod
    def from_tables(
        cls, tables: Mapping[str, SiteTableData], calibration: CalibrationData, window: Mapping[str, float]
    ) -> DatasetData:
        """Return the finished sites of several tables on a common calibrated grid, unstored.

        :param tables: by label; rows come in the order of the labels.
        :param calibration: its shift brings the total-energy axes of the tables to the measured one.
        :param window: ``energy_min_eV``, ``energy_max_eV`` (calibrated) and ``n_points``.
        :raises ValueError: if settings digests differ, a configuration comes twice, no site is finished, or a spectrum
            does not cover the window.
        """
        check_tables(tables, calibration)
        limits = float(window["energy_min_eV"]), float(window["energy_max_eV"])
        energy = np.linspace(*limits, int(window["n_points"]))
        nodes = [tables[label] for label in sorted(tables)]
        finished = {label: tables[label] for label in sorted(tables) if tables[label].done.any()}
        spectra = []
        for label, table in finished.items():
            try:
                spectra.append(table.on_grid(energy - calibration.shift))
            except ValueError as exception:
                raise ValueError(
                    f"the table {label} does not cover {limits[0]:.2f} to {limits[1]:.2f} eV of the calibrated axis, "
                    f"which is the total energy and {calibration.shift:+.2f} eV: {exception}"
                ) from None
        first = next(iter(finished.values()))
        axes, common = first.axes, first.common
        other = [label for label, table in finished.items() if table.axes != axes]
        if other:
            raise ValueError(
                f"the properties of the table {other[0]} have other axes than those of {next(iter(finished))}."
            )
        parts = [table.properties for table in finished.values()]
        done = [table.done for table in finished.values()]
        return cls.from_arrays(
            energy=energy,
            spectra=np.concatenate(spectra),
            properties={
                name: np.concatenate([part[name][rows] for part, rows in zip(parts, done, strict=True)])
                for name in parts[0]
            },
            axes=axes,
            site_index=np.concatenate([table.site_index[table.done] for table in finished.values()]),
            configuration=np.repeat(np.arange(len(nodes)), [int(table.done.sum()) for table in nodes]),
            configurations=[
                {key: value for key, value in table.attributes.items() if key in cls.CONFIGURATION} for table in nodes
            ],
            description={
                **{key: common[key] for key in (*cls.REQUIRED, *cls.OPTIONAL) if key in common},
                "shift_eV": calibration.shift,
            },
        )

    @property
    def energy(self) -> Array:
        """Calibrated energies in eV, shape (n_e,)."""
        return np.asarray(self.get_array("energy_eV"))

    @property
    def spectra(self) -> Array:
        """Unnormalised spectra, shape (n, n_e)."""
        return np.asarray(self.get_array("spectra"))

    @property
    def site_index(self) -> NDArray[np.int64]:
        """Index of the absorber of each row in its configuration, shape (n,)."""
        return np.asarray(self.get_array("site_index"))

    @property
    def configuration(self) -> NDArray[np.int64]:
        """Index of the configuration of each row, shape (n,)."""
        return np.asarray(self.get_array("configuration"))

    @property
    def configurations(self) -> list[dict[str, Any]]:
        """What is known of each configuration (see the class)."""
        return list(self.base.attributes.get("configurations"))

    @property
    def n_sites(self) -> int:
        """Number of rows."""
        return int(self.base.attributes.get("n_sites"))

    def site_set(self) -> SiteSet:
        """Return the sites as plain arrays, which is what `learning` works on.

        :raises ValueError: if the arrays do not fit each other, or a number is not finite.
        """
        counts = np.bincount(self.configuration, minlength=len(self.configurations))
        return SiteSet.checked(
            energy=self.energy,
            spectra=self.spectra,
            properties=self.properties,
            axes=self.axes,
            attributes=self.attributes,
            site_index=self.site_index,
            configuration=self.configuration,
            configurations=[
                Configuration(
                    formula=entry["formula"],
                    x=float(entry["x"]),
                    group=entry["structure_digest"],
                    complete=bool(count >= sp.MINIMUM_COVERAGE * entry["n_absorbers"]),
                )
                for count, entry in zip(counts, self.configurations, strict=True)
            ],
        )

    def summary(self) -> dict[str, Any]:
        """Return what ``aiida-siox show`` prints of this node."""
        kinds = self.kinds
        scalars = {name: values[:, 0] for name, values in self.properties.items() if kinds[name] == "scalar"}
        return {
            "type": "dataset",
            "uuid": self.uuid,
            "axis": "calibrated",
            **self.attributes,
            "energy_eV": self.energy.tolist(),
            **plain(scalars),
            "configuration": self.configuration.tolist(),
        }


def check_tables(tables: Mapping[str, SiteTableData], calibration: CalibrationData) -> None:
    """Refuse tables that cannot be combined.

    :raises ValueError: if settings digests differ, a configuration comes twice, no site is finished, or the treatment
        gives sites no common axis.
    """
    finished = [label for label in sorted(tables) if tables[label].done.any()]
    if not finished:
        raise ValueError("no site of any table is finished: there is no data set to make.")
    digests = {calibration.settings_digest: ["the calibration"]}
    for label in finished:  # a table without a spectrum has no version of xspectra.x in its digest
        digests.setdefault(tables[label].settings_digest, []).append(label)
    if len(digests) > 1:
        groups = "; ".join(f"{digest[:12]}: {', '.join(names)}" for digest, names in digests.items())
        raise ValueError(
            f"tables computed with different settings cannot be combined ({groups}). Compute all of them, and the "
            "calibration, with the same treatment, cutoffs, meshes, thresholds, atomic data and engine versions."
        )
    if tables[finished[0]].base.attributes.get("treatment") == "none":
        raise ValueError(
            "tables with the treatment `none` cannot make a data set: without a core hole the sites have no core-level "
            "shift against each other. Compute them with fch."
        )
    seen: dict[str, str] = {}
    for label in sorted(tables):
        digest = tables[label].base.attributes.get("structure_digest")
        if digest in seen:
            raise ValueError(f"the tables {seen[digest]} and {label} hold the same configuration: give it once.")
        seen[digest] = label
