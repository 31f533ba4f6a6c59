"""Networks that train together are those that a plain loop would train one after another."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from aiida_siox.learning.networks.layers import SpectrumNetwork
from aiida_siox.learning.training.loop import Job, fit_all
from tests.learning.toy import QUANTITIES, toy_hyper, toy_sites

VALENCE = QUANTITIES["valence"]


def tensors(sites, target="valence"):
    return tuple(torch.from_numpy(a) for a in (sites.energy, sites.spectra, sites.examples(target).targets))


def job(fit, stop, seed=0, rate=1e-3, decay=0.0, columns=None):
    return Job(np.arange(*fit), np.arange(*stop), seed, rate, decay, columns)


def plain_loop(energy, spectra, targets, task, architecture, hyper):
    """One network with torch's own modules: no stacking, no padding."""
    torch.manual_seed(task.seed)
    network = SpectrumNetwork(architecture)
    network.set_grid(energy, hyper.post_edge_window_eV)
    rows, stop = torch.from_numpy(task.fit), torch.from_numpy(task.stop)
    network.fit_scalers(spectra[rows], targets[rows], hyper.scale_floor)
    optimiser = torch.optim.Adam(network.parameters(), lr=task.learning_rate, weight_decay=task.weight_decay)
    generator = torch.Generator().manual_seed(task.seed)
    scale = network.output_scale
    best, kept = math.inf, None
    for _ in range(hyper.epochs):
        order = torch.randperm(len(rows), generator=generator)
        for batch in order.tensor_split(math.ceil(len(rows) / hyper.batch_size)):
            optimiser.zero_grad()
            error = (network(spectra[rows[batch]]) - targets[rows[batch]]) / scale
            error.square().mean().backward()
            optimiser.step()
        with torch.no_grad():
            loss = float(((network(spectra[stop]) - targets[stop]) / scale).square().mean())
        if loss < best:
            best, kept = loss, {name: tensor.clone() for name, tensor in network.state_dict().items()}
    return kept, best


def untrained(task, architecture):
    """The initial weights of a job."""
    torch.manual_seed(task.seed)
    return SpectrumNetwork(architecture).body.state_dict()


@pytest.mark.parametrize("target", ["valence", "rdf"])
@pytest.mark.parametrize("decay", [0.0, 1e-3])
def test_members_are_those_of_a_plain_loop(target, decay):
    sites = toy_sites(n=50)
    energy, spectra, targets = tensors(sites, target)
    hyper = toy_hyper(epochs=6, patience=6, batch_size=16)
    jobs = [job((0, 40), (40, 50), 1, decay=decay), job((5, 38), (0, 5), 2, decay=decay)]
    architecture = hyper.architecture(QUANTITIES[target], len(energy), targets.shape[1])
    for task, fit in zip(jobs, fit_all(energy, spectra, targets, jobs, architecture, hyper), strict=True):
        expected, best = plain_loop(energy, spectra, targets, task, architecture, hyper)
        difference = [(t - expected[name]).float().norm() for name, t in fit.network.state_dict().items()]
        moved = [(t - untrained(task, architecture)[name]).norm() for name, t in fit.network.body.state_dict().items()]
        assert max(difference) < 2e-3 * max(moved), "Adam magnifies rounding, but not to this"
        assert fit.history[:, 1].min() == pytest.approx(best, rel=1e-3)


def test_members_do_not_see_each_other():
    sites = toy_sites()
    data = tensors(sites)
    hyper = toy_hyper(epochs=5)
    architecture = hyper.architecture(VALENCE, len(sites.energy), 1)
    first = job((0, 40), (40, 50), 3)
    together = fit_all(*data, [first, job((10, 50), (0, 10), 4)], architecture, hyper)[0]
    with_another = fit_all(*data, [first, job((12, 52), (0, 12), 5)], architecture, hyper)[0]
    for name, tensor in together.network.state_dict().items():
        assert torch.equal(tensor, with_another.network.state_dict()[name])


def test_rows_that_are_neither_fitted_nor_stopping_are_never_read():
    sites = toy_sites()
    hyper = toy_hyper(epochs=3)
    architecture = hyper.architecture(VALENCE, len(sites.energy), 1)
    task = job((0, 30), (30, 40))
    before = fit_all(*tensors(sites), [task], architecture, hyper)[0]
    spectra = sites.spectra.copy()
    spectra[40:] = np.nan
    after = fit_all(*tensors(dataclasses.replace(sites, spectra=spectra)), [task], architecture, hyper)[0]
    for name, tensor in before.network.state_dict().items():
        assert torch.equal(tensor, after.network.state_dict()[name])


def test_stops_early_and_keeps_the_best_weights():
    sites = toy_sites(n=40)
    energy, spectra, targets = tensors(sites)
    generator = np.random.default_rng(0)
    targets = torch.from_numpy(generator.normal(size=targets.shape))  # noise: the stopping rows soon get worse
    hyper = toy_hyper(epochs=300, patience=8, scale_floor=0.01)
    architecture = hyper.architecture(VALENCE, len(energy), 1)
    jobs = [job((0, 28), (28, 40), seed) for seed in range(6)]
    fits = fit_all(energy, spectra, targets, jobs, architecture, hyper)
    assert len({len(fit.history) for fit in fits}) > 1, "members stop by themselves"
    for fit in fits:
        assert len(fit.history) == fit.best_epoch + 8
        assert fit.best_epoch == 1 + fit.history[:, 1].argmin()
        stop = torch.arange(28, 40)
        with torch.no_grad():
            loss = float((fit.network(spectra[stop]) - targets[stop]).square().mean())
        assert fit.stop_loss == pytest.approx(loss, rel=1e-4)


def test_members_that_stop_change_nothing_for_the_others():
    sites = toy_sites(n=40)
    energy, spectra, targets = tensors(sites)
    noise = torch.from_numpy(np.random.default_rng(0).normal(size=targets.shape))
    hyper = toy_hyper(epochs=300, patience=8)
    architecture = hyper.architecture(VALENCE, len(energy), 1)
    jobs = [job((0, 28), (28, 40), seed) for seed in range(5)]
    together = fit_all(energy, spectra, noise, jobs, architecture, hyper)
    last = max(range(5), key=lambda i: len(together[i].history))
    alone = fit_all(energy, spectra, noise, [jobs[last]], architecture, hyper)[0]
    np.testing.assert_allclose(together[last].history[:40], alone.history[:40], rtol=1e-3)


def test_same_call_same_weights_bit_for_bit():
    sites = toy_sites()
    data = tensors(sites)
    hyper = toy_hyper(epochs=10)
    architecture = hyper.architecture(VALENCE, len(sites.energy), 1)
    jobs = [job((0, 40), (40, 60), seed) for seed in range(3)]
    first = fit_all(*data, jobs, architecture, hyper)
    torch.rand(7)  # the global generator must not matter
    again = fit_all(*data, jobs, architecture, hyper)
    for one, other in zip(first, again, strict=True):
        assert all(torch.equal(t, other.network.state_dict()[name]) for name, t in one.network.state_dict().items())
    assert not torch.equal(first[0].network.body[0].weight, first[1].network.body[0].weight)


def test_windows_of_different_width_train_together():
    sites = toy_sites()
    data = tensors(sites)
    hyper = toy_hyper(epochs=5)
    architecture = hyper.architecture(VALENCE, len(sites.energy), 1)
    narrow, wide = np.arange(80, 111), np.arange(60, 92)
    jobs = [job((0, 40), (40, 60), 1, columns=narrow), job((0, 40), (40, 60), 2, columns=wide)]
    fits = fit_all(*data, jobs, architecture, hyper)
    assert [fit.network.architecture.n_inputs for fit in fits] == [31, 32]
    alone = fit_all(*data, jobs[:1], architecture, hyper)[0]
    with torch.no_grad():
        for fit in (fits[0], alone):
            predicted = fit.network(data[1][:, torch.from_numpy(narrow)])
            assert predicted.shape == (60, 1)
    torch.testing.assert_close(fits[0].network.body[0].weight, alone.network.body[0].weight, rtol=1e-4, atol=1e-5)


def test_a_training_that_diverges_says_so():
    sites = toy_sites()
    energy, spectra, targets = tensors(sites)
    hyper = toy_hyper(epochs=3)
    architecture = hyper.architecture(VALENCE, len(energy), 1)
    with pytest.raises(ValueError, match="lower `learning_rate`"):
        fit_all(energy, spectra, targets, [job((0, 40), (40, 60), rate=1e30)], architecture, hyper)


def test_leaves_the_state_of_torch_as_it_was():
    sites = toy_sites()
    hyper = toy_hyper(epochs=1, threads=1)
    architecture = hyper.architecture(VALENCE, len(sites.energy), 1)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    fit_all(*tensors(sites), [job((0, 40), (40, 60))], architecture, hyper)
    assert torch.equal(torch.rand(1), expected)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()
