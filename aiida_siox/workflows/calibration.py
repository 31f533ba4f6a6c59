"""CalibrationWorkChain: the shift of the total-energy axis from one site of α-quartz."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ToContext, WorkChain

from aiida_siox.calculations.spectra import calibrate
from aiida_siox.calculations.structures import make_crystal
from aiida_siox.data.calibration import CalibrationData
from aiida_siox.data.site_table import SiteTableData
from aiida_siox.science import SCIENCE_VERSION
from aiida_siox.workflows.protocol import SioxProtocolMixin
from aiida_siox.workflows.site_spectrum import failure_message
from aiida_siox.workflows.structure_targets import JOBS, StructureTargetsWorkChain, silicon_sites


def validate_target(node: orm.Float, _: Any = None) -> str | None:
    """Port validator: an energy near the Si K edge."""
    if not 1830 <= node.value <= 1860:
        return f"`target` is the measured main peak of quartz, about 1846 to 1847 eV, got {node.value} eV."
    return None


def validate_quartz(node: orm.Dict, _: Any = None) -> str | None:
    """Port validator: how often the quartz cell is repeated."""
    repeats = node.get_dict().get("supercell")
    if not (
        isinstance(repeats, list)
        and len(repeats) == 3
        and all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in repeats)
    ):
        return f"`quartz.supercell` must be three positive integers such as [1, 1, 1], got {repeats!r}."
    return None


class CalibrationWorkChain(SioxProtocolMixin, WorkChain):
    """Quartz, one site, with the settings of the study; then one constant for all sites."""

    _protocol_name = "calibration"

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define the process specification."""
        super().define(spec)
        spec.input("target", valid_type=orm.Float, validator=validate_target, help="Main peak of quartz in eV.")
        spec.input("quartz", valid_type=orm.Dict, validator=validate_quartz, help="The quartz cell: `supercell`.")
        spec.expose_inputs(StructureTargetsWorkChain, exclude=("structure", "sites"))
        spec.inputs.validator = None
        spec.outline(cls.make_structure, cls.run_targets, cls.calibrate, cls.results)
        spec.output("calibration", valid_type=CalibrationData, help="The shift.")
        spec.output("site_table", valid_type=SiteTableData, help="The quartz site.")
        spec.exit_code(301, "ERROR_QUARTZ_FAILED", message="The quartz site failed: {message}")
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
        targets = StructureTargetsWorkChain.get_protocol_inputs(protocol, targets_overrides)
        builder = cls.get_builder()
        builder.target = orm.Float(inputs["target_eV"])
        builder.quartz = orm.Dict({"supercell": inputs["supercell"]})
        builder.codes = {engine: codes[engine] for engine in ("pw", "pp", "xspectra", "bader")}
        builder.atomic_data = {key: atomic_data[key] for key in ("pseudos", "core_wavefunction", "energies")}
        builder.settings = orm.Dict(StructureTargetsWorkChain.settings_from(targets, protocol))
        builder.max_concurrent = orm.Int(targets["max_concurrent"] if max_concurrent is None else max_concurrent)
        builder.clean_scratch = targets["clean_scratch"]
        if options:
            builder.options = {engine: dict(options[engine]) for engine in options if engine in JOBS}
        return builder

    def make_structure(self) -> None:
        """Make the quartz cell."""
        parameters = orm.Dict({"compound": "quartz", **self.inputs.quartz.get_dict()})
        self.ctx.structure = make_crystal(parameters=parameters, version=orm.Int(SCIENCE_VERSION))

    def run_targets(self) -> ToContext:
        """Compute its first silicon site; all are equivalent."""
        inputs = self.exposed_inputs(StructureTargetsWorkChain)
        inputs["structure"] = self.ctx.structure
        inputs["sites"] = orm.List([silicon_sites(self.ctx.structure)[0]])
        inputs["metadata"] = {"call_link_label": "quartz"}
        return ToContext(targets=self.submit(StructureTargetsWorkChain, **inputs))

    def calibrate(self) -> ExitCode | None:
        """Compute the shift."""
        if not self.ctx.targets.is_finished_ok:
            return self.exit_codes.ERROR_QUARTZ_FAILED.format(message=failure_message(self.ctx.targets))
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
        """Attach shift and quartz site."""
        self.out("calibration", self.ctx.calibration)
        self.out("site_table", self.ctx.targets.outputs.site_table)
