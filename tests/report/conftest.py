"""A study made by hand: real tables, data set and models over engine jobs that never ran."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida_pseudo.data.pseudo.upf import UpfData

from aiida_siox.calculations.analysis import ANALYSIS_VERSION, analyse_part
from aiida_siox.calculations.spectra import digest_of, mark_absorber
from aiida_siox.calculations.structures import assess_structure, structure_from_atoms
from aiida_siox.calculations.tables import assemble, collect, record_failure
from aiida_siox.data.spectrum import SpectrumData
from aiida_siox.science.neighbours import coordination
from aiida_siox.science.site_row import site_label
from aiida_siox.workflows.analysis import AnalysisProtocol
from aiida_siox.workflows.diffraction import DiffractionProtocol
from aiida_siox.workflows.melt_quench import MeltQuenchWorkChain
from aiida_siox.workflows.structure_targets import StructureTargetsWorkChain
from aiida_siox.workflows.utils import CACHED_FROM
from tests.crystals import SIOX, starting_cell
from tests.factories import make_calibration, make_spectrum, pole_coefficients

#: Of the clock of the engine jobs, seconds since 1970.
BEGIN = 1_800_000_000.0
SHIFT_EV = -12.8
QUALITY = {
    **MeltQuenchWorkChain.get_protocol_inputs()["quality"],
    "diffraction": DiffractionProtocol.get_parameters(),
    "expected_density_g_cm3": 2.3,
}


def stdout_of_job(start: float, wall: float, user: float, system: float = 0.5) -> str:
    """Return what a job of ours leaves in its scheduler output."""
    return (
        f"siox-start {start:.9f}\nsome engine said this\nsiox-end {start + wall:.9f}\n"
        f"0m0.004s 0m0.002s\n{int(user // 60)}m{user % 60:.3f}s 0m{system:.3f}s\n"
    )


@dataclasses.dataclass
class Clock:
    """Two cores that take jobs in turn."""

    free: list[float] = dataclasses.field(default_factory=lambda: [BEGIN, BEGIN])

    def take(self, wall: float) -> float:
        """Return when a job of a length starts on the core that is free first."""
        core = self.free.index(min(self.free))
        start = self.free[core]
        self.free[core] += wall
        return start


def finish(node: orm.ProcessNode, status: int = 0, message: str | None = None) -> None:
    """Let a process end."""
    node.set_process_state("finished")
    node.set_exit_status(status)
    if message:
        node.set_exit_message(message)
    node.seal()


class StudyMaker:
    """Stores the nodes of a study one by one."""

    def __init__(self, protocol: str = "fast", cached: bool = False) -> None:
        """Begin a study.

        :param protocol: what the tables say.
        :param cached: whether every engine job says that it was taken from the cache.
        """
        self.protocol = protocol
        self.cached = cached
        self.clock = Clock()
        self.settings = StructureTargetsWorkChain.settings_from(
            StructureTargetsWorkChain.get_protocol_inputs("fast"), protocol
        )
        self.pseudos = {}
        for kind, z in (("Si", 4), ("O", 6)):
            text = f'<UPF version="2.0.1">\n<PP_HEADER element="{kind}" z_valence="{z}"/>\n</UPF>\n'
            node = UpfData(io.BytesIO(text.encode()), filename=f"{kind}.UPF")
            self.pseudos[kind] = node.store()
        self.potential = {
            "potential__definition": orm.Dict({"name": "Munetoh 2007", "pair_style": "tersoff"}).store(),
            "potential__files__file_0": orm.SinglefileData(io.BytesIO(b"# Si O"), "SiO.tersoff").store(),
        }
        self.core = orm.SinglefileData(io.BytesIO(b"# r, r psi(1s)\n0.0 0.0\n"), "core.wfc").store()
        self.outputs: dict[str, orm.Data] = {}

    def process(self, cls: type, label: str, caller: orm.ProcessNode | None, link: str, **inputs: orm.Data) -> Any:
        """Store a process with its caller and inputs."""
        node = cls()
        node.set_process_label(label)
        work = isinstance(node, orm.WorkflowNode)
        for name, data in inputs.items():
            if not data.is_stored:
                data.store()
            node.base.links.add_incoming(data, LinkType.INPUT_WORK if work else LinkType.INPUT_CALC, name)
        if caller is not None:
            node.base.links.add_incoming(caller, LinkType.CALL_WORK if work else LinkType.CALL_CALC, link)
        return node

    def job(self, plugin: str, label: str, caller: orm.ProcessNode, wall: float, **inputs: orm.Data) -> orm.CalcJobNode:
        """Store an engine job with the scheduler output it would have left; it is not sealed."""
        node = self.process(orm.CalcJobNode, label, caller, "iteration_01", **inputs)
        node.process_type = f"aiida.calculations:{plugin}"
        node.set_process_state("finished")
        node.set_exit_status(0)
        node.store()
        if self.cached:
            node.base.extras.set(CACHED_FROM, "somewhere")
        folder = orm.FolderData()
        text = stdout_of_job(self.clock.take(wall), wall, 0.9 * wall)
        folder.base.repository.put_object_from_bytes(text.encode(), "_scheduler-stdout.txt")
        folder.base.links.add_incoming(node, LinkType.CREATE, "retrieved")
        folder.store()
        return node

    def give(self, creator: orm.ProcessNode, link: str, data: Any) -> Any:
        """Store a node as the output of a calculation."""
        data.base.links.add_incoming(creator, LinkType.CREATE, link)
        return data.store()

    def begin(self, items: list[list[Any]]) -> None:
        """Store the study itself."""
        self.study = self.process(
            orm.WorkChainNode, "StudyWorkChain", None, "", configurations=orm.List(items), max_concurrent=orm.Int(2)
        )
        self.study.process_type = "aiida.workflows:siox.study"
        self.study.base.attributes.set("version", {"core": "2.9.4", "plugin": "0.1.0"})
        self.study.store()

    def melt(self, formula: str, seed: int, ok: bool = True) -> None:
        """Add the melt-quench of a configuration, or one that failed."""
        label = f"{formula}_{seed}"
        chain = self.process(
            orm.WorkChainNode, "MeltQuenchWorkChain", self.study, f"melt_{label}",
            formula=orm.Str(formula), seed=orm.Int(seed),
        )  # fmt: skip
        chain.store()
        if not ok:
            finish(chain, 410, "The dynamics blew up, also with a time step of 0.1 fs.")
            return
        start = structure_from_atoms(starting_cell(formula, 2.3, seed))
        job = self.job(
            "siox.melt_quench", "MeltQuenchCalculation", chain, 30.0,
            structure=start, seed=orm.Int(seed), **self.potential,
        )  # fmt: skip
        structure = self.give(job, "structure", structure_from_atoms(starting_cell(formula, 2.3, seed)))
        job.seal()
        self.outputs[f"structures__{label}"] = structure
        assessment = assess_structure(structure, orm.Dict(QUALITY), orm.Dict(SIOX.plain()), orm.Int(1))
        self.outputs[f"qualities__{label}"] = assessment["quality"]
        finish(chain)

    def targets(self, formula: str, seed: int, failed: tuple[int, ...] = (), n_sites: int | None = None) -> None:
        """Add the spectra of a configuration.

        :param failed: which of its Si sites failed, counted from 0 among the Si.
        :param n_sites: how many sites are asked for; all when None.
        """
        label = f"{formula}_{seed}"
        structure = self.outputs[f"structures__{label}"]
        chain = self.process(
            orm.WorkChainNode, "StructureTargetsWorkChain", self.study, f"targets_{label}", structure=structure
        )
        chain.store()
        atoms = structure.get_ase()
        n_oxygen = coordination(atoms, SIOX.cutoffs)["O"]
        silicon = [i for i, symbol in enumerate(atoms.get_chemical_symbols()) if symbol == "Si"][:n_sites]
        ground = self.job("quantumespresso.pw", "PwCalculation", chain, 12.0, structure=structure)
        scratch = self.give(ground, "remote_folder", orm.FolderData())
        ground_parameters = self.give(ground, "output_parameters", orm.Dict({"creator_version": "6.7"}))
        ground.seal()
        bader = self.job("siox.bader", "BaderCalculation", chain, 5.0, structure=structure, parent_folder=scratch)
        rng = np.random.default_rng(seed)
        electrons = np.where(atoms.numbers == 14, 4 - 0.8 * n_oxygen - rng.normal(0, 0.06, len(atoms)), 7.6)
        charges = orm.ArrayData()
        charges.set_array("electrons", electrons)
        self.give(bader, "charges", charges)
        bader_parameters = self.give(
            bader, "output_parameters", orm.Dict({"version": "0.1.0", "method": "neargrid", "pp_version": "6.7"})
        )
        bader.seal()
        spectra, failures = {}, {}
        for row, index in enumerate(silicon):
            spectrum = self.site(chain, structure, index, 4 - electrons[index], row in failed)
            if isinstance(spectrum, SpectrumData):
                spectra[site_label(index)] = spectrum
            else:
                failures[site_label(index)] = spectrum
        found = collect(
            structure=structure,
            settings=orm.Dict(self.settings),
            sites=orm.List(silicon),
            charges=charges,
            bader_parameters=bader_parameters,
            ground_parameters=ground_parameters,
            core_wavefunction=self.core,
            pseudos=self.pseudos,
            version=orm.Int(1),
            spectra=spectra,
            failures=failures,
        )
        self.outputs[f"site_tables__{label}"] = found["site_table"]
        finish(chain)

    def site(self, chain: Any, structure: Any, index: int, valence: float, fails: bool) -> Any:
        """Return the spectrum of a site, or the Dict that says why there is none."""
        wrapper = self.process(
            orm.WorkChainNode, "SiteSpectrumWorkChain", chain, site_label(index), structure=structure
        )
        wrapper.store()
        hole = mark_absorber(structure, orm.Int(index), orm.Str("Sih"))
        scf = self.job("quantumespresso.pw", "PwCalculation", wrapper, 15.0, structure=hole)
        scratch = self.give(scf, "remote_folder", orm.FolderData())
        scf.seal()
        job = self.job("siox.xspectra", "XspectraCalculation", wrapper, 60.0, structure=hole, parent_folder=scratch)
        if fails:
            job.seal()
            finish(wrapper, 302, "xspectra.x failed")
            return record_failure(
                orm.Int(index), orm.Str(f"xspectra.x of site {index} failed: XANES not converged after 3000 iterations")
            )
        lanczos = self.give(job, "lanczos", orm.ArrayData(np.zeros(3)))
        job.seal()
        function = self.process(
            orm.CalcFunctionNode, "assemble_spectrum", wrapper, "assemble", lanczos=lanczos, structure=structure
        )
        function.set_process_state("finished")
        function.set_exit_status(0)
        function.store()
        edge = valence * 1.2 - 1.5
        states = edge + 0.8 * np.arange(70)
        line = (0.35 + 0.3 * valence) / (1 + ((states - edge - 1.2) / 1.1) ** 2)
        wave = 0.12 * np.sin((states - edge) / 3.1 + index) * np.exp(-np.abs(states - edge - 12) / 14)
        heights = 1e-3 * (1 + wave + line) / np.pi  # states 0.8 eV apart, each 0.8 eV wide
        spectrum = make_spectrum(
            coefficients=pole_coefficients([states] * 3, np.outer([0.9, 1.0, 1.1], heights)),
            site_index=index,
            structure_digest=digest_of(structure),
            formula=structure.get_formula(),
            energies={"transition_eV": 1853.9},
        )
        self.give(function, "result", spectrum)
        function.seal()
        finish(wrapper)
        return spectrum

    def learn(self) -> None:
        """Add calibration, data set and both networks."""
        tables = {
            name.removeprefix("site_tables__"): node for name, node in self.outputs.items() if name.startswith("site_t")
        }
        digest = next(iter(tables.values())).settings_digest
        calibration = make_calibration(SHIFT_EV, digest, protocol=self.protocol)
        window = orm.Dict({"energy_min_eV": 1830.0, "energy_max_eV": 1880.0, "n_points": 256})
        dataset = assemble(calibration.store(), window, orm.Int(1), tables=tables)
        parameters = AnalysisProtocol.get_parameters("fast", {"training": {"epochs": 20}}, ("valence", "rdf"))["model"]
        self.outputs |= {"calibration": calibration, "dataset": dataset}
        found = analyse_part(dataset, orm.Str("model"), orm.Dict(parameters), orm.Int(ANALYSIS_VERSION))
        self.outputs |= {f"models__{name}": model for name, model in found["models"].items()}

    def end(self, status: int = 0, message: str | None = None) -> orm.WorkChainNode:
        """Attach the outputs and end the study."""
        for label, node in self.outputs.items():
            node.base.links.add_incoming(self.study, LinkType.RETURN, label)
        finish(self.study, status, message)
        return self.study


@pytest.fixture(scope="session")
def study_maker(aiida_profile):
    """Return the class that makes studies."""
    return StudyMaker


@pytest.fixture(scope="session")
def whole_study(aiida_profile) -> orm.WorkChainNode:
    """Return a study in which all went well but for one site and one melt."""
    maker = StudyMaker()
    items = [["Si4", 1], ["Si4O2", 1], ["Si4O4", 1], ["Si4O8", 1], ["Si4O8", 2], ["Si8O10", 3]]
    maker.begin(items)
    for formula, seed in items[:-1]:
        maker.melt(formula, seed)
        maker.targets(formula, seed, failed=(1,) if formula == "Si4O4" else ())
    maker.melt(*items[-1], ok=False)
    maker.learn()
    return maker.end(401, "1 of 6 configurations failed.")
