"""Scheduler options, failure messages, and what may be cleaned."""

import pytest
from aiida import orm

from aiida_siox.workflows.utils import (
    APPEND_TEXT,
    CACHED_FROM,
    PREPEND_TEXT,
    clean_scratch,
    is_cached,
    job_metadata,
    output_namespace,
    scratch_is_gone,
    validate_options,
)


class TestJobMetadata:
    def test_one_serial_process(self):
        metadata = job_metadata(None, "core-hole SCF, site 3")
        assert metadata["label"] == "core-hole SCF, site 3"
        assert metadata["options"]["resources"] == {"num_machines": 1, "num_mpiprocs_per_machine": 1}
        assert metadata["options"]["withmpi"] is False

    def test_options_of_the_user(self):
        given = {"resources": {"num_machines": 2}, "queue_name": "short", "prepend_text": "module load qe"}
        options = job_metadata(given, "")["options"]
        assert options["resources"] == {"num_machines": 2}
        assert options["queue_name"] == "short"
        # the clock runs around what the user adds, so that loading modules counts as well
        assert options["prepend_text"] == f"{PREPEND_TEXT}\nmodule load qe"
        assert options["append_text"] == APPEND_TEXT
        assert given["prepend_text"] == "module load qe"


class TestValidateOptions:
    def test_right(self):
        resources = {"num_machines": 1, "num_mpiprocs_per_machine": 4}
        options = {"queue_name": "short", "max_wallclock_seconds": 3600, "resources": resources, "withmpi": True}
        assert validate_options({"pw": options, "pp": {"resources": {"num_machines": 2}}}, ("pw", "pp")) is None
        assert validate_options({"pp": {"resources": {"tot_num_mpiprocs": 2, "parallel_env": "mpi"}}}, ("pp",)) is None

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"pww": {}}, "no engine `pww`: did you mean `pw`"),
            ({"pw": "short"}, "`options.pw` must be a mapping"),
            (["pw"], "must map engines to scheduler options"),
            ({"pw": {"npool": 2}}, "unknown key `options.pw.npool` (value 2): "),
            ({"pw": {"queue": "short"}}, "did you mean `queue_name`?"),
            ({"pw": {"parser_name": "x"}}, "unknown key `options.pw.parser_name`"),
            ({"pw": {"max_wallclock_seconds": "01:00:00"}}, "must be an integer from 1 on, got '01:00:00'"),
            ({"pw": {"max_wallclock_seconds": True}}, "must be an integer from 1 on, got True"),
            ({"pw": {"max_wallclock_seconds": -5}}, "must be an integer from 1 on, got -5"),
            ({"pw": {"withmpi": 1}}, "`options.pw.withmpi` must be true or false, got 1"),
            ({"pw": {"resources": 4}}, "`options.pw.resources` must be a mapping with default_mpiprocs"),
            (
                {"pw": {"resources": {"num_cores": 4}}},
                "`options.pw.resources.num_cores` (value 4): did you mean `num_cores_per_machine`?",
            ),
            (
                {"pw": {"resources": {"num_machines": 0}}},
                "`options.pw.resources.num_machines` must be an integer from 1",
            ),
            ({"pw": {"resources": {"num_mpiprocs_per_machine": 2}}}, "At least two among `num_machines`"),
        ],
    )
    def test_wrong(self, options, message):
        assert message in validate_options(options, ("pw", "pp"))


@pytest.fixture
def make_job(computer, tmp_path):
    """Return a function that stores a CalcJobNode with a scratch folder that holds a file."""
    from aiida.common.links import LinkType

    def make(name, parent=None, cached=False):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "out").write_text("wavefunctions")
        job = orm.CalcJobNode(computer=computer)
        if parent is not None:
            job.base.links.add_incoming(parent, LinkType.CALL_CALC, name)
        job.store()
        if cached:
            job.base.extras.set(CACHED_FROM, "some uuid")
        remote = orm.RemoteData(remote_path=str(folder), computer=computer)
        remote.base.links.add_incoming(job, LinkType.CREATE, "remote_folder")
        remote.store()
        return job, remote, folder

    return make


def test_only_what_ran_here_is_cleaned(aiida_profile, make_job):
    chain = orm.WorkChainNode().store()
    (ours, remote, folder), (cached, theirs, other) = make_job("ours", chain), make_job("theirs", chain, cached=True)
    assert is_cached(cached)
    assert not is_cached(ours)
    assert not scratch_is_gone(remote)
    assert clean_scratch(chain) == [ours.pk]
    assert scratch_is_gone(remote)
    assert not folder.exists() or not list(folder.iterdir())
    assert not scratch_is_gone(theirs)
    assert (other / "out").is_file()
    clean_scratch(chain)  # a second time there is nothing left, which is no error


def test_a_folder_that_was_removed_is_gone(make_job):
    _, remote, folder = make_job("removed")
    (folder / "out").unlink()
    folder.rmdir()
    assert scratch_is_gone(remote)


def test_output_namespace_that_nothing_was_attached_to(aiida_profile):
    assert output_namespace(orm.WorkChainNode().store(), "spectra") == {}
