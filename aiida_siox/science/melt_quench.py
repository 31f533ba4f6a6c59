"""The LAMMPS script of a melt-quench, and the data file of its starting cell.

Order of the stages: minimise the random start (its atoms overlap), NVT to settle, melt, linear quench to a low
temperature (LAMMPS takes no target of 0 K), hold, relax the box when the volume is free, minimise. Each stage ends at
an absolute step, so one script serves a fresh start and a restart from any step.

A melt of SiOₓ that is free to expand at 5000 K and 1 bar is half way to a vapour (1.5 to 1.8 g/cm³), and a fast quench
freezes its voids. The volume may therefore be kept until the quench has come down to a temperature.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self

import numpy as np
from ase import Atoms
from pydantic import Field, model_validator

from aiida_siox.checked import Checked, Count, Flag, Number, Positive

from .cells import mass_g_mol
from .potentials import Potential

DATA_FILE = "start.data"
START_RESTART_FILE = "start.restart"
FINAL_FILE = "final.dump"
TRAJECTORY_FILE = "trajectory.dump"
RESTART_PREFIX = "melt_quench."
RESTART_SUFFIX = ".restart"
STAGE_MARK = "SIOX-STAGE"
STOP_MARK = "SIOX-STOPPED"
END_MARK = "SIOX-END"

FREE_BELOW = "volume_free_below_K"
"""Only where the volume is free at all: the temperature of the quench below which it is."""

Temperature = Annotated[Number, Field(gt=0, le=100_000)]


class Dynamics(Checked):
    """What a melt-quench is made of, with the units in the names."""

    remedy = "take them from a protocol"

    timestep_fs: Annotated[
        Number,
        Field(gt=0, le=1, description="above 0 up to 1 fs (at 5000 K a melt of SiO2 gains energy at 1, diverges at 2)"),
    ]
    melt_temperature_K: Temperature
    final_temperature_K: Temperature
    settle_time_ps: Positive
    melt_time_ps: Positive
    quench_time_ps: Positive
    hold_time_ps: Positive
    fixed_volume: Flag
    volume_free_below_K: Annotated[
        Number | None,
        Field(ge=0, description="a temperature in K, the melt's or more for a volume that is free from the beginning"),
    ] = None
    pressure_bar: Number
    temperature_damping_ps: Positive
    pressure_damping_ps: Positive
    thermo_interval_ps: Positive
    restart_interval_ps: Positive
    trajectory_interval_ps: Annotated[Number, Field(ge=0, description="a time in ps, 0 for none")]
    minimize_energy_tolerance: Annotated[Number, Field(ge=0, lt=1)]
    minimize_force_tolerance_eV_per_angstrom: Annotated[Number, Field(gt=0, le=10)]
    minimize_max_iterations: Annotated[Count, Field(le=10**8)]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        free_below = self.volume_free_below_K
        if self.fixed_volume and free_below is not None:
            raise ValueError(f"`{FREE_BELOW}` is {free_below} although `fixed_volume` is true: take one of them out")
        if not self.fixed_volume and free_below is None:
            raise ValueError(f"`{FREE_BELOW}` is missing: it is needed with `fixed_volume: false`")
        if free_below is not None and free_below < self.final_temperature_K:
            raise ValueError(
                f"`{FREE_BELOW}` {free_below} is below final_temperature_K {self.final_temperature_K}: "
                "give a higher one, or `fixed_volume: true`"
            )
        if self.final_temperature_K >= self.melt_temperature_K:
            raise ValueError(
                f"`final_temperature_K` {self.final_temperature_K} is not below melt_temperature_K "
                f"{self.melt_temperature_K}: a quench goes down, to 1 K for instance"
            )
        return self


@dataclass(frozen=True)
class Stage:
    """One run of molecular dynamics: temperatures in K at its first and last absolute step."""

    name: str
    first: int
    last: int
    start_K: float
    end_K: float
    ensemble: str


def quench_time(rate_K_per_s: float, parameters: Mapping[str, Any]) -> float:
    """Return the time in ps of a linear quench from the melt to the final temperature.

    :raises ValueError: if the rate is not a positive number.
    """
    if isinstance(rate_K_per_s, bool) or not isinstance(rate_K_per_s, int | float) or not 0 < rate_K_per_s < math.inf:
        hint = " (yaml reads 1e13 as text: write 1.0e+13)" if isinstance(rate_K_per_s, str) else ""
        raise ValueError(
            f"quench_rate_K_per_s must be a positive number of K/s such as 1.0e+13, got {rate_K_per_s!r}{hint}."
        )
    return (parameters["melt_temperature_K"] - parameters["final_temperature_K"]) / rate_K_per_s * 1e12


def steps_of(time_ps: float, parameters: Mapping[str, Any]) -> int:
    """Return a time as a number of steps, at least one."""
    return max(1, round(time_ps * 1000 / parameters["timestep_fs"]))


def stage_plan(parameters: Mapping[str, Any]) -> list[Stage]:
    """Return the stages of molecular dynamics in their order, with absolute steps.

    A quench that sets the volume free on its way has two parts, ``cool`` at fixed volume and ``quench``.
    """
    melt, low = float(parameters["melt_temperature_K"]), float(parameters["final_temperature_K"])
    last = "nvt" if parameters["fixed_volume"] else "npt"
    free_below = min(melt, float(parameters.get(FREE_BELOW, melt)))
    first = "nvt" if free_below < melt else last
    quench = parameters["quench_time_ps"]
    cool = quench * (melt - free_below) / (melt - low)
    plan = [("settle", parameters["settle_time_ps"], melt, melt, "nvt")]
    plan.append(("melt", parameters["melt_time_ps"], melt, melt, first))
    if cool > 0:
        plan.append(("cool", cool, melt, free_below, "nvt"))
    plan.append(("quench", quench - cool, free_below, low, last))
    plan.append(("hold", parameters["hold_time_ps"], low, low, last))
    stages: list[Stage] = []
    for name, time, start, end, kind in plan:
        begin = stages[-1].last if stages else 0
        stages.append(Stage(name, begin, begin + steps_of(time, parameters), start, end, kind))
    return stages


def velocity_seed(seed: int) -> int:
    """Return a seed that LAMMPS takes (1 to 899999999), a fixed function of the seed of the configuration."""
    return 1 + int(np.random.SeedSequence(seed).generate_state(1)[0]) % 899_999_999


def species_of(atoms: Atoms) -> list[str]:
    """Return the species that are there, in the order of their LAMMPS types: as they come in the cell."""
    return list(dict.fromkeys(atoms.get_chemical_symbols()))


def data_file(atoms: Atoms, charges: Mapping[str, float] | None = None) -> str:
    """Return the LAMMPS data file of a rectangular cell; atom ids are the indices plus one.

    :param charges: in e by species, for potentials with charges.
    :raises ValueError: if the cell is not rectangular along x, y, z.
    """
    lengths = np.diag(atoms.cell.array)
    if not np.allclose(atoms.cell.array, np.diag(lengths), atol=1e-9) or (lengths <= 0).any():
        raise ValueError("the starting cell must be rectangular with its vectors along x, y and z.")
    species = species_of(atoms)
    lines = [
        "starting cell of a melt-quench, units metal",
        "",
        f"{len(atoms)} atoms",
        f"{len(species)} atom types",
        "",
        *(f"0.0 {length:.12f} {axis}lo {axis}hi" for length, axis in zip(lengths, "xyz", strict=True)),
        "",
        "Masses",
        "",
        *(f"{number} {mass_g_mol(symbol)} # {symbol}" for number, symbol in enumerate(species, start=1)),
        "",
        f"Atoms # {'charge' if charges else 'atomic'}",
        "",
    ]
    positions = atoms.get_positions(wrap=True)
    for index, (symbol, position) in enumerate(zip(atoms.get_chemical_symbols(), positions, strict=True), start=1):
        x, y, z = position
        charge = f"{charges[symbol]:.12g} " if charges else ""
        lines.append(f"{index} {species.index(symbol) + 1} {charge}{x:.12f} {y:.12f} {z:.12f}")
    return "\n".join(lines) + "\n"


def stage_lines(stage: Stage, parameters: Mapping[str, Any]) -> list[str]:
    """Return the commands of one stage: left out where its last step is behind, it stops the job at a timeout.

    :param parameters: see :class:`Dynamics`.
    """
    t_damp, p_damp = parameters["temperature_damping_ps"], parameters["pressure_damping_ps"]
    fix = f"fix {stage.name} all {stage.ensemble} temp {stage.start_K:g} {stage.end_K:g} {t_damp:g}"
    if stage.ensemble == "npt":
        fix += f" iso {parameters['pressure_bar']:g} {parameters['pressure_bar']:g} {p_damp:g}"
    return [
        f'if "${{now}} < {stage.last}" then &',
        f"  \"print '{STAGE_MARK} {stage.name}'\" &",
        f'  "{fix}" &',
        f'  "run {stage.last} upto start {stage.first} stop {stage.last}"',
        f'if "${{now}} < {stage.last}" then &',
        f'  "write_restart {RESTART_PREFIX}*{RESTART_SUFFIX}" &',
        f"  \"print '{STOP_MARK} {stage.name}'\" &",
        '  "quit 0"',
        # only now: the restart file above keeps the state of the thermostat
        f'if "$(is_defined(fix,{stage.name}))" then "unfix {stage.name}"',
    ]


def melt_quench_script(
    species: list[str],
    potential: Potential,
    parameters: Mapping[str, Any],
    seed: int,
    restart: bool = False,
    walltime_s: int | None = None,
) -> str:
    """Return the LAMMPS script.

    :param species: in the order of the types, from :func:`species_of`.
    :param potential: that knows the species.
    :param parameters: see :class:`Dynamics`.
    :param seed: of the configuration; the velocities follow from it.
    :param restart: go on from ``start.restart`` instead of starting from ``start.data``.
    :param walltime_s: stop by itself after so many seconds, writing a restart file; never when None.
    """
    Dynamics.parse(parameters, "parameters")
    stages = stage_plan(parameters)
    thermo = steps_of(parameters["thermo_interval_ps"], parameters)
    energy, force = parameters["minimize_energy_tolerance"], parameters["minimize_force_tolerance_eV_per_angstrom"]
    iterations = int(parameters["minimize_max_iterations"])
    minimise = f"minimize {energy:g} {force:g} {iterations} {10 * iterations}"
    melt = parameters["melt_temperature_K"]
    pressure = parameters["pressure_bar"]
    lines = ["units metal", f"atom_style {potential.atom_style}", "boundary p p p"]
    lines.append(f"read_restart {START_RESTART_FILE}" if restart else f"read_data {DATA_FILE}")
    lines += [
        *potential.commands_for(species),
        "neighbor 1.0 bin",
        "neigh_modify every 1 delay 0 check yes",
        f"timestep {parameters['timestep_fs'] / 1000:g}",
        "thermo_style custom step temp press vol density pe etotal",
        "thermo_modify norm no flush yes lost error",
        f"thermo {thermo}",
        "min_style cg",
        "variable now equal step",
    ]
    if walltime_s is not None:
        hours, rest = divmod(max(1, int(walltime_s)), 3600)
        lines.append(f"timer timeout {hours}:{rest // 60:02d}:{rest % 60:02d} every 100")
    if not restart:
        lines += [
            f'print "{STAGE_MARK} start"',
            minimise,
            "reset_timestep 0",
            f"velocity all create {melt:g} {velocity_seed(seed)} mom yes rot no dist gaussian",
        ]
    lines.append(f"restart {steps_of(parameters['restart_interval_ps'], parameters)} {RESTART_PREFIX}*{RESTART_SUFFIX}")
    if parameters["trajectory_interval_ps"] > 0:
        every = steps_of(parameters["trajectory_interval_ps"], parameters)
        lines += [
            f"dump trajectory all custom {every} {TRAJECTORY_FILE} id type x y z",
            "dump_modify trajectory sort id format float %.6f",
        ]
    for stage in stages:
        lines += stage_lines(stage, parameters)
    if parameters["trajectory_interval_ps"] > 0:
        lines.append("undump trajectory")
    if not parameters["fixed_volume"]:
        lines += [
            f'print "{STAGE_MARK} relax"',
            f"fix relax all box/relax iso {pressure:g} vmax 0.001",
            minimise,
            "unfix relax",
        ]
    lines += [
        f'print "{STAGE_MARK} minimise"',
        minimise,
        f"write_dump all custom {FINAL_FILE} id type x y z modify sort id format float %.15g",
        f'print "{END_MARK}"',
    ]
    return "\n".join(lines) + "\n"
