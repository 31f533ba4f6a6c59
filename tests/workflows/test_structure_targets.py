"""Targets of one structure: one bad site among good ones, what is tried again, what is cleaned, what is refused."""

import copy

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching
from aiida_pseudo.data.pseudo.upf import UpfData
from aiida_quantumespresso.calculations.pw import PwCalculation

from aiida_siox.calculations.bader import BaderCalculation
from aiida_siox.workflows.site_spectrum import SiteSpectrumWorkChain
from aiida_siox.workflows.structure_targets import MAX_CONCURRENT, StructureTargetsWorkChain
from aiida_siox.workflows.utils import is_cached
from tests.mocks.fixtures import jobs_of, peak_of, scratch_left

CODES = StructureTargetsWorkChain.exit_codes


def site_chain(node, site):
    """Return the SiteSpectrumWorkChain of a site."""
    return next(
        child
        for child in node.called_descendants
        if child.process_class is SiteSpectrumWorkChain and child.inputs.site.value == site
    )


def labels(jobs):
    return [job.process_label.removesuffix("Calculation") for job in jobs]


@pytest.mark.xdist_group("mock_targets")
class TestOneBadSite:
    """Sites 0 and 2 get through after trouble, site 1 does not."""

    def test_warns_and_keeps_the_others(self, troubled_targets):
        node = troubled_targets.node
        assert node.exit_status == CODES.WARNING_SITES_FAILED.status
        assert "1 of 3 sites failed" in node.exit_message
        table = node.outputs.site_table
        assert table.done.tolist() == [True, False, True]
        assert (table.base.attributes.get("n_done"), table.base.attributes.get("n_requested")) == (2, 3)
        assert sorted(node.outputs.spectra) == ["site_0000", "site_0002"]
        assert sorted(node.outputs.sites) == ["site_0000", "site_0001", "site_0002"]

    def test_the_row_says_why(self, troubled_targets):
        row = troubled_targets.node.outputs.site_table.rows()[1]
        assert not row.done
        assert row.spectrum is None
        assert row.energies == {}
        assert row.properties["valence"] == pytest.approx(3.2)  # the charges do not need the spectrum
        assert "XspectraCalculation" in row.reason
        assert "exit status 420" in row.reason
        assert "[polarisation_0.out]" in row.reason
        assert "END JOB XSpectra" in row.reason  # the last lines of the engine

    def test_site_node_of_the_failed_site(self, troubled_targets):
        site = troubled_targets.node.outputs.sites.site_0001
        assert site.status == "failed"
        with pytest.raises(ValueError, match=r"site 1 has no spectrum.*XspectraCalculation"):
            _ = site.spectrum
        assert troubled_targets.node.outputs.sites.site_0002.status == "done"

    def test_no_average_below_95_percent(self, troubled_targets):
        table = troubled_targets.node.outputs.site_table
        with pytest.raises(ValueError, match="only 2 of 3 are done"):
            table.averaged()

    def test_rows_belong_to_their_sites(self, troubled_targets):
        """The mock adds 0.01 Ry for each place of the absorber, so that a mixed-up row shows."""
        table = troubled_targets.node.outputs.site_table
        hole = table.energies["hole_Ry"]
        assert hole[2] - hole[0] == pytest.approx(0.02, abs=1e-6)
        for row, site in ((0, "site_0000"), (2, "site_0002")):
            spectrum = troubled_targets.node.outputs.spectra[site]
            assert spectrum.energies["hole_Ry"] == pytest.approx(hole[row], abs=1e-9)
            np.testing.assert_allclose(table.spectra[row], spectrum.on_grid(table.energy))

    def test_xniter_is_doubled_until_it_is_enough(self, troubled_targets):
        jobs = jobs_of(site_chain(troubled_targets.node, 0), "XspectraCalculation")
        xniter = [job.inputs.parameters["input_xspectra"]["xniter"] for job in jobs]
        factor = SiteSpectrumWorkChain.defaults.factor_xniter
        start = troubled_targets.node.inputs.settings["xspectra"]["xniter"]
        assert xniter == [start, start * factor]
        assert [job.exit_status for job in jobs] == [420, 0]
        assert len(jobs_of(site_chain(troubled_targets.node, 0), "PwCalculation")) == 1

    def test_not_more_than_max_attempts(self, troubled_targets):
        chain = site_chain(troubled_targets.node, 1)
        jobs = jobs_of(chain, "XspectraCalculation")
        assert len(jobs) == SiteSpectrumWorkChain.defaults.max_attempts
        factor = SiteSpectrumWorkChain.defaults.factor_xniter
        xniter = [job.inputs.parameters["input_xspectra"]["xniter"] for job in jobs]
        assert xniter == [xniter[0] * factor**i for i in range(len(jobs))]
        assert chain.exit_status == SiteSpectrumWorkChain.exit_codes.ERROR_XSPECTRA_FAILED.status

    def test_killed_scf_is_run_once_more_and_not_from_the_cache(self, troubled_targets):
        jobs = jobs_of(site_chain(troubled_targets.node, 2))
        assert labels(jobs) == ["Pw", "Pw", "Xspectra"]
        assert jobs[0].exit_status not in (0, None)
        assert jobs[1].is_finished_ok
        assert jobs[1].base.attributes.get("metadata_inputs")["metadata"]["disable_cache"] is True

    def test_peak_of_engine_jobs(self, troubled_targets):
        assert peak_of(troubled_targets.intervals) == troubled_targets.node.inputs.max_concurrent.value == 2

    def test_scratch_of_finished_sites_and_of_the_ground_state_is_gone(self, troubled_targets):
        left = scratch_left(troubled_targets.node)
        kept = {jobs.pk for jobs in jobs_of(site_chain(troubled_targets.node, 1))}
        assert {pk for pk, there in left.items() if there} == kept
        assert len(left) > len(kept)


@pytest.mark.xdist_group("mock_targets")
class TestCache:
    """Runs after `troubled_targets` that may take its jobs from the cache."""

    def test_a_cached_scratch_is_used_and_left_to_its_owner(self, troubled_targets, mock, mock_targets):
        """Site 1 failed in xspectra only: its SCF comes from the cache and still has its scratch."""
        before = scratch_left(troubled_targets.node)
        with enable_caching():
            node = mock_targets(sites=[1])
        assert node.is_finished_ok, node.exit_message
        jobs = jobs_of(node)
        assert [is_cached(job) for job in jobs] == [True, True, True, False]
        assert labels(jobs) == ["Pw", "Bader", "Pw", "Xspectra"]
        assert scratch_left(troubled_targets.node) == before
        ours = scratch_left(node)
        assert ours[jobs[2].pk]
        assert not ours[jobs[3].pk]

    def test_digests_do_not_depend_on_the_cache(self, troubled_targets, mock, mock_targets):
        with enable_caching():
            node = mock_targets(sites=[0])
        # `troubled_targets` needed more iterations there, which its first job of the same inputs did not get
        table, first = node.outputs.site_table, troubled_targets.node.outputs.site_table
        for key in ("settings_digest", "structure_digest"):
            assert table.base.attributes.get(key) == first.base.attributes.get(key)
        assert table.uuid != first.uuid

    def test_lost_scratch_of_a_cached_scf_is_made_anew(self, troubled_targets, mock, mock_targets):
        """Other xspectra settings: the SCF of site 2 comes from the cache, but its scratch was cleaned."""
        with enable_caching():
            node = mock_targets(sites=[2], overrides={"settings": {"xspectra": {"xerror": 5.0e-3}}})
        assert node.is_finished_ok, node.exit_message
        jobs = jobs_of(site_chain(node, 2))
        assert labels(jobs) == ["Pw", "Xspectra", "Pw", "Xspectra"]
        assert [is_cached(job) for job in jobs] == [True, False, False, False]
        assert [job.exit_status for job in jobs] == [0, 410, 0, 0]
        assert len(jobs) / 2 <= SiteSpectrumWorkChain.defaults.max_attempts
        assert not any(there for pk, there in scratch_left(node).items() if pk in {jobs[2].pk, jobs[3].pk})

    def test_bader_without_scratch_and_without_pp(self, troubled_targets, mock, mock_targets, tmp_path):
        """The cached ground state has lost its scratch: it is run anew; then pp.x is not there, which is final."""
        pp = mock.codes["pp"]
        missing = orm.InstalledCode(
            label="missing-pp",
            computer=pp.computer,
            filepath_executable=str(tmp_path / "pp.x"),
            default_calc_job_plugin=pp.default_calc_job_plugin,
            with_mpi=False,
        )
        with enable_caching():
            node = mock_targets(sites=[0], codes={"pp": missing.store()})
        assert node.exit_status == CODES.ERROR_BADER_FAILED.status
        assert "pp_charge" in node.exit_message or "pp.x" in node.exit_message
        jobs = jobs_of(node)
        assert labels(jobs) == ["Pw", "Bader", "Pw", "Bader"]
        assert [is_cached(job) for job in jobs] == [True, False, False, False]
        assert jobs[1].exit_status == BaderCalculation.exit_codes.ERROR_PARENT_SCRATCH_MISSING.status

    def test_all_sites_failed_then_the_cached_failure_is_redone(self, mock, mock_targets):
        """pw.x ends with a status from 400 on, which the cache of AiiDA would replay for ever."""
        overrides = {"settings": {"scf": {"electron_maxstep": 42}}}
        mock.rules({"engine": "pw", "stage": "hole", "mode": "wrong_charge"})
        node = mock_targets(sites=[2], overrides=overrides)
        assert node.exit_status == CODES.ERROR_ALL_SITES_FAILED.status
        failed = jobs_of(site_chain(node, 2))
        assert {job.exit_status for job in failed} == {PwCalculation.exit_codes.ERROR_CHARGE_IS_WRONG.status}
        assert not PwCalculation.exit_codes.ERROR_CHARGE_IS_WRONG.invalidates_cache
        assert "site_table" in node.outputs
        assert "spectra" not in node.outputs
        assert not node.outputs.site_table.done.any()

        mock.rules()
        with enable_caching():
            node = mock_targets(sites=[2], overrides=overrides)
        assert node.is_finished_ok, node.exit_message
        jobs = jobs_of(site_chain(node, 2))
        assert [is_cached(job) for job in jobs] == [True] * len(failed) + [False, False]
        assert [job.exit_status for job in jobs[-2:]] == [0, 0]


def test_ground_state_killed_every_time(mock, mock_targets):
    mock.rules({"engine": "pw", "stage": "ground", "mode": "cut"})
    node = mock_targets()
    assert node.exit_status == CODES.ERROR_GROUND_STATE_FAILED.status
    assert len(jobs_of(node)) == StructureTargetsWorkChain.defaults.max_attempts
    assert "PwCalculation" in node.exit_message


@pytest.fixture
def builder(mock_engines, mock_atomic_data, mock_quartz):
    return StructureTargetsWorkChain.get_builder_from_protocol(
        mock_engines.codes, mock_quartz, mock_atomic_data, "fast"
    )


class TestRefused:
    """Nothing is submitted; the message names the value and the remedy."""

    @pytest.mark.parametrize(
        ("sites", "message"),
        [
            ([3], r"\[3\] do not. Si sites of this structure: \[0, 1, 2\]"),
            ([0, 99], r"\[99\] do not"),
            ([-1], r"\[-1\] do not"),
            ([], "must name Si atoms"),
            ([0, 2, 0], r"names a site twice: \[0, 2, 0\]"),
        ],
    )
    def test_sites(self, builder, sites, message):
        builder.sites = orm.List(sites)
        self.refused(builder, message)

    @pytest.mark.parametrize(
        ("number", "message"), [(0, "between 1 and"), (MAX_CONCURRENT + 1, "holds one of the 200")]
    )
    def test_max_concurrent(self, builder, number, message):
        with pytest.raises(ValueError, match=f"`max_concurrent`.*{message}"):
            builder.max_concurrent = orm.Int(number)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda atoms: atoms[3:], "no Si: there would be no absorber"),
            (lambda atoms: atoms + atoms[:1], r"atoms overlap: Si \(index 0\) and Si \(index 9\) are 0.00 Å apart"),
            (lambda atoms: _with(atoms, symbols="Ge3O6"), "has Ge: only Si and O are possible"),
            (lambda atoms: _with(atoms, pbc=[True, True, False]), "periodic along 2 of 3 directions"),
        ],
        ids=["no silicon", "overlap", "germanium", "slab"],
    )
    def test_structure(self, builder, change, message):
        builder.structure = orm.StructureData(ase=change(builder.structure.get_ase()))
        self.refused(builder, message)

    def test_settings(self, builder):
        settings = copy.deepcopy(builder.settings.get_dict())
        settings["scf"]["ecutrho_Ry"] = 100.0
        with pytest.raises(ValueError, match=r"ecutrho_Ry` \(100\).*at least 200"):
            builder.settings = orm.Dict(settings)

    def test_options_of_an_unknown_engine(self, builder):
        with pytest.raises(ValueError, match="no engine `xspectre`: did you mean `xspectra`"):
            builder.options = {"xspectre": {}}

    @pytest.mark.parametrize(
        ("overrides", "message"),
        [
            ({"settings": {"scf": {"ecutwfc": 50.0}}}, "settings.scf.ecutwfc`: did you mean `ecutwfc_Ry`"),
            ({"settings": {"xspectra": {"energy_max_eV": 20.0}}}, "override key `settings.xspectra.energy_max_eV`"),
        ],
    )
    def test_overrides(self, mock_engines, mock_quartz, mock_atomic_data, overrides, message):
        with pytest.raises(ValueError, match=message):
            StructureTargetsWorkChain.get_builder_from_protocol(
                mock_engines.codes, mock_quartz, mock_atomic_data, "fast", overrides
            )

    def test_unknown_protocol(self, mock_engines, mock_quartz, mock_atomic_data):
        with pytest.raises(ValueError, match="unknown protocol `fats`: did you mean `fast`"):
            StructureTargetsWorkChain.get_builder_from_protocol(
                mock_engines.codes, mock_quartz, mock_atomic_data, "fats"
            )

    @staticmethod
    def refused(builder, message):
        n_jobs = orm.QueryBuilder().append(orm.ProcessNode).count()
        with pytest.raises(ValueError, match=message):
            run_get_node(builder)
        assert orm.QueryBuilder().append(orm.ProcessNode).count() == n_jobs


def _with(atoms, symbols=None, pbc=None):
    if symbols is not None:
        atoms.set_chemical_symbols(symbols)
    if pbc is not None:
        atoms.set_pbc(pbc)
    return atoms


@pytest.mark.parametrize("protocol", ["fast", "balanced", "paper"])
def test_builder(serialize, data_regression, mock_engines, mock_quartz, mock_atomic_data, protocol):
    builder = StructureTargetsWorkChain.get_builder_from_protocol(
        mock_engines.codes,
        mock_quartz,
        mock_atomic_data,
        protocol,
        sites=[0],
        max_concurrent=3,
        options={"pw": {"max_wallclock_seconds": 3600}, "lmp": {"queue_name": "not for this one"}},
    )
    data_regression.check(serialize(builder))


def test_sets_without_paw_are_refused(mock_engines, mock_atomic_data, mock_quartz, tmp_path):
    """pp.x writes the all-electron density of PAW sets only: said before the ground state is computed."""
    path = tmp_path / "Si.us.UPF"
    path.write_text('<UPF version="2.0.1">\n<PP_HEADER element="Si" z_valence="4.0" is_paw="false"/>\n</UPF>\n')
    pseudos = {**mock_atomic_data["pseudos"], "Si": UpfData(path).store()}
    builder = StructureTargetsWorkChain.get_builder_from_protocol(
        mock_engines.codes, mock_quartz, {**mock_atomic_data, "pseudos": pseudos}, "fast"
    )
    with pytest.raises(ValueError, match=r"pseudos.Si` \(Si.us.UPF\) is no PAW set"):
        run_get_node(builder)
