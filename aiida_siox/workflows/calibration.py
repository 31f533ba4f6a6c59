"""CalibrationWorkChain: the shift of the total-energy axis from one site of a crystal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

from aiida import orm
from aiida.engine import ExitCode, ToContext, WorkChain
from pydantic import Field, model_validator

from aiida_siox.calculations.spectra import calibrate
from aiida_siox.calculations.structures import make_crystal
from aiida_siox.checked import Checked, Count, validated
from aiida_siox.data.calibration import CalibrationData
from aiida_siox.data.site_table import SiteTableData
from aiida_siox.materials import Crystal, Material, load_material
from aiida_siox.science import SCIENCE_VERSION
from aiida_siox.science.cells import build_crystal, reference_crystal
from aiida_siox.workflows.protocol import SioxProtocolMixin, read_overrides
from aiida_siox.workflows.site_spectrum import failure_message
from aiida_siox.workflows.structure_targets import JOBS, StructureTargetsWorkChain, absorber_sites


class CrystalParameters(Checked):
    """A crystal that can be made: its name, its definition, and how often it is repeated."""

    compound: str
    crystal: Crystal
    supercell: Annotated[tuple[Count, Count, Count], Field(description="three positive integers such as [1, 1, 1]")]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        build_crystal(self.crystal, self.supercell)
        return self


def validate_target(inputs: Mapping[str, Any], _: Any = None) -> str | None:
    """Refuse a target that cannot be the main peak of the crystal of the material."""
    if "target" not in inputs or "settings" not in inputs:
        return None
    try:
        load_material(inputs["settings"]["material"]).calibration.check(inputs["target"].value)
    except (KeyError, ValueError) as exception:
        return f"`target`: {exception}."
    return None


def crystal_parameters(material: Material, name: str, supercell: Sequence[int]) -> dict[str, Any]:
    """Return the parameters of :func:`aiida_siox.calculations.structures.make_crystal`.

    :raises ValueError: for an unknown crystal or an impossible supercell.
    """
    reference_crystal(material, name, supercell)
    return {"compound": name, "crystal": material.crystals[name].plain(), "supercell": list(supercell)}


def target_of(inputs: Mapping[str, Any], material: Material) -> float:
    """Return the measured main peak in eV: that of a protocol, or of the material.

    :raises ValueError: if it cannot be one.
    """
    target = material.calibration.white_line_eV if inputs["target_eV"] is None else inputs["target_eV"]
    material.calibration.check(target)
    return float(target)


def calibration_inputs(inputs: Mapping[str, Any], material: Material) -> dict[str, orm.Data]:
    """Return the inputs ``target`` and ``crystal`` from those of a protocol.

    :raises ValueError: for an energy or supercell that is not possible.
    """
    parameters = crystal_parameters(material, material.calibration.crystal, inputs["supercell"])
    return {"target": orm.Float(target_of(inputs, material)), "crystal": orm.Dict(parameters)}


class CalibrationWorkChain(SioxProtocolMixin, WorkChain):
    """One site of the material's crystal, with the settings of the study; then one constant for all sites."""

    _protocol_name = "calibration"

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define the process specification."""
        super().define(spec)
        spec.input("target", valid_type=orm.Float, help="Measured main peak of the crystal in eV.")
        spec.input(
            "crystal",
            valid_type=orm.Dict,
            validator=validated(CrystalParameters, "crystal"),
            help="`compound`, its name; `crystal`, as in the yaml of a material; `supercell`.",
        )
        spec.expose_inputs(StructureTargetsWorkChain, exclude=("structure", "sites"))
        spec.inputs.validator = validate_target
        spec.outline(cls.make_structure, cls.run_targets, cls.calibrate, cls.results)
        spec.output("calibration", valid_type=CalibrationData, help="The shift.")
        spec.output("site_table", valid_type=SiteTableData, help="The site of the crystal.")
        spec.exit_code(301, "ERROR_CRYSTAL_FAILED", message="The site of the crystal failed: {message}")
        spec.exit_code(302, "ERROR_CALIBRATION_FAILED", message="The shift could not be computed: {message}")

    @classmethod
    def get_builder_from_protocol(
        cls,
        codes: Mapping[str, orm.AbstractCode],
        atomic_data: Mapping[str, Any],
        protocol: str | None = None,
        overrides: Any = None,
        *,
        targets_overrides: Any = None,
        max_concurrent: int | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return a builder with the inputs of a protocol.

        :param overrides: mapping or yaml file with the keys of ``protocols/calibration.yaml``.
        :param targets_overrides: the same for ``protocols/structure_targets.yaml``.
        :raises ValueError: for an unknown protocol or override key, or a setting out of range.
        """
        inputs = cls.get_protocol_inputs(protocol, overrides)
        material = load_material(inputs["material"])
        targets = StructureTargetsWorkChain.get_protocol_inputs(
            protocol, {**read_overrides(targets_overrides), "material": inputs["material"]}
        )
        builder = cls.get_builder()
        for key, node in calibration_inputs(inputs, material).items():
            builder[key] = node
        builder.codes = {engine: codes[engine] for engine in ("pw", "pp", "xspectra", "bader")}
        builder.atomic_data = {key: atomic_data[key] for key in ("pseudos", "core_wavefunction", "energies")}
        builder.settings = orm.Dict(StructureTargetsWorkChain.settings_from(targets, protocol))
        builder.max_concurrent = orm.Int(targets["max_concurrent"] if max_concurrent is None else max_concurrent)
        builder.clean_scratch = targets["clean_scratch"]
        if options:
            builder.options = {engine: dict(options[engine]) for engine in options if engine in JOBS}
        return builder

    def make_structure(self) -> None:
        """Make the crystal."""
        self.ctx.structure = make_crystal(parameters=self.inputs.crystal, version=orm.Int(SCIENCE_VERSION))

    def run_targets(self) -> ToContext:
        """Compute its first absorber; all are equivalent."""
        inputs = self.exposed_inputs(StructureTargetsWorkChain)
        inputs["structure"] = self.ctx.structure
        inputs["sites"] = orm.List(absorber_sites(self.ctx.structure, self.inputs.settings["material"]["absorber"])[:1])
        inputs["metadata"] = {"call_link_label": "crystal"}
        return ToContext(targets=self.submit(StructureTargetsWorkChain, **inputs))

    def calibrate(self) -> ExitCode | None:
        """Compute the shift."""
        if not self.ctx.targets.is_finished_ok:
            return self.exit_codes.ERROR_CRYSTAL_FAILED.format(message=failure_message(self.ctx.targets))
        try:
            self.ctx.calibration = calibrate(
                site_table=self.ctx.targets.outputs.site_table,
                target=self.inputs.target,
                version=orm.Int(SCIENCE_VERSION),
            )
        except ValueError as exception:
            return self.exit_codes.ERROR_CALIBRATION_FAILED.format(message=str(exception))
        return None

    def results(self) -> None:
        """Attach shift and site."""
        self.out("calibration", self.ctx.calibration)
        self.out("site_table", self.ctx.targets.outputs.site_table)
