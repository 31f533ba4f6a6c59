"""Lanes: WorkChains that work through a list one after another.

AiiDA resumes a WorkChain only when all children of a step have ended, so a batch would wait for its slowest member.
A lane has one child at a time; the number of lanes is the number of engine jobs that run at one time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from aiida import orm
from aiida.engine import ToContext, WorkChain, while_

from aiida_siox.calculations.tables import record_failure
from aiida_siox.data.spectrum import SpectrumData
from aiida_siox.science.site_row import site_label
from aiida_siox.workflows.site_spectrum import SiteSpectrumWorkChain, failure_message, last_job

T = TypeVar("T")


def divide(max_concurrent: int, n_items: int) -> list[int]:
    """Return for each lane how many engine jobs it may run at one time; they sum up to ``max_concurrent`` at most.

    ``min(n_items, max_concurrent)`` lanes share the budget evenly, the first ones taking what is left over.
    """
    n_lanes = max(1, min(n_items, max_concurrent))
    share, rest = divmod(max_concurrent, n_lanes)
    return [max(1, share + (1 if i < rest else 0)) for i in range(n_lanes)]


def deal(items: Sequence[T], weights: Sequence[float], n_lanes: int) -> list[list[T]]:
    """Deal items to lanes, longest first, each to the lane with the least to do so far.

    :returns: ``n_lanes`` lists, empty where there are fewer items than lanes.
    """
    lanes: list[list[T]] = [[] for _ in range(n_lanes)]
    loads = [0.0] * n_lanes
    for weight, position in sorted(((w, i) for i, w in enumerate(weights)), key=lambda pair: (-pair[0], pair[1])):
        lane = loads.index(min(loads))
        lanes[lane].append(items[position])
        loads[lane] += weight
    return lanes


def failure_node(site: int, process: orm.ProcessNode) -> orm.Dict:
    """Record why a site failed, with the last lines of the job that did."""
    job = last_job(process)
    folders = {}
    if job is not None and not job.is_finished_ok and "retrieved" in job.outputs:
        folders["retrieved"] = job.outputs.retrieved
    return record_failure(site=orm.Int(site), reason=orm.Str(failure_message(process)), **folders)


class SiteLaneWorkChain(WorkChain):
    """Spectra of several sites of one configuration, one after another; a failed site does not stop the others."""

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define the process specification."""
        super().define(spec)
        spec.input("sites", valid_type=orm.List, help="Indices of the absorbers, in the order to be computed.")
        spec.expose_inputs(SiteSpectrumWorkChain, exclude=("site",))
        spec.outline(cls.setup, while_(cls.has_next)(cls.run_next, cls.inspect_last), cls.results)
        spec.output_namespace("spectra", valid_type=SpectrumData, dynamic=True, help="Spectra by site_0007.")
        words = "Bader charges with the hole by site_0007."
        spec.output_namespace("hole_charges", valid_type=orm.ArrayData, dynamic=True, help=words)
        spec.output_namespace("failures", valid_type=orm.Dict, dynamic=True, help="Reasons by site_0007.")

    def setup(self) -> None:
        """Take the list."""
        self.ctx.todo = list(self.inputs.sites.get_list())
        self.ctx.spectra = {}
        self.ctx.hole_charges = {}
        self.ctx.failures = {}

    def has_next(self) -> bool:
        """Return whether a site is left."""
        return bool(self.ctx.todo)

    def run_next(self) -> ToContext:
        """Submit the next site."""
        self.ctx.current = self.ctx.todo.pop(0)
        inputs = self.exposed_inputs(SiteSpectrumWorkChain)
        inputs["site"] = orm.Int(self.ctx.current)
        inputs["metadata"] = {"call_link_label": site_label(self.ctx.current)}
        return ToContext(last=self.submit(SiteSpectrumWorkChain, **inputs))

    def inspect_last(self) -> None:
        """Keep the spectrum, or the reason why there is none."""
        label = site_label(self.ctx.current)
        if self.ctx.last.is_finished_ok:
            self.ctx.spectra[label] = self.ctx.last.outputs.spectrum
            if "hole_charges" in self.ctx.last.outputs:
                self.ctx.hole_charges[label] = self.ctx.last.outputs.hole_charges
        else:
            self.report(f"site {self.ctx.current} failed: {failure_message(self.ctx.last)}")
            self.ctx.failures[label] = failure_node(self.ctx.current, self.ctx.last)

    def results(self) -> None:
        """Attach what there is."""
        for name in ("spectra", "hole_charges", "failures"):
            if self.ctx[name]:
                self.out(name, self.ctx[name])
