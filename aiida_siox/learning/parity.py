"""References and predictions of every site for each split: what parity plots are drawn from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aiida_siox.learning.evaluation import Held
from aiida_siox.learning.parameters import Target
from aiida_siox.learning.sites import SiteSet

Array = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Parity:
    """References and predictions of every site of the data set for one split, row by row; NaN where there is none.

    :param split: ``random``, ``grouped`` or ``composition``.
    :param unit: of the target.
    :param reference: shape (n,) for the valence, else (n, n_outputs).
    :param predicted: the same shape.
    :param part: ``train`` or ``test``, shape (n,).
    :param site_index: index of the site in its structure, shape (n,).
    :param n_oxygen: formal valence, shape (n,).
    :param formula: of the configuration, shape (n,).
    :param structure_digest: of the configuration, shape (n,).
    """

    split: str
    unit: str
    reference: Array
    predicted: Array
    part: NDArray[np.str_]
    site_index: NDArray[np.int64]
    n_oxygen: NDArray[np.int64]
    formula: NDArray[np.str_]
    structure_digest: NDArray[np.str_]

    @property
    def test(self) -> NDArray[np.bool_]:
        """Which rows are test sites, shape (n,)."""
        return np.asarray(self.part == "test")

    @property
    def rmse_per_site(self) -> Array:
        """RMSE of each row over its outputs (the absolute error for the valence), shape (n,)."""
        error = (self.predicted - self.reference).reshape(len(self.part), -1)
        return np.sqrt((error**2).mean(axis=1))


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """References and predictions of all splits.

    :param arrays: ``reference`` (n, n_outputs), ``site_index``, ``n_oxygen``, ``configuration`` (n,), and for each
        split ``{split}_predicted`` (n, n_outputs) and ``{split}_test`` (n,).
    :param formulas: formula of each configuration.
    :param digests: structure digest of each configuration.
    """

    arrays: Mapping[str, NDArray[Any]]
    formulas: tuple[str, ...]
    digests: tuple[str, ...]

    @classmethod
    def of(cls, sites: SiteSet, target: Target, held: Mapping[str, Held]) -> Evaluation:
        """Take the first repetition of each split.

        :param sites: the data set.
        :param target: what was learned.
        :param held: by split, from :func:`~aiida_siox.learning.evaluation.hold_out`.
        """
        arrays: dict[str, NDArray[Any]] = {
            "reference": sites.targets(target).astype(np.float32),
            "site_index": sites.site_index,
            "n_oxygen": sites.n_oxygen,
            "configuration": sites.configuration,
        }
        for split, result in held.items():
            predicted = np.where(result.tested[:, None], result.predicted, result.fitted)
            arrays[f"{split}_predicted"] = predicted.astype(np.float32)
            arrays[f"{split}_test"] = result.tested
        return cls(arrays, sites.formulas, sites.digests)

    @property
    def splits(self) -> list[str]:
        """Splits that there are."""
        return [name.removesuffix("_predicted") for name in self.arrays if name.endswith("_predicted")]

    def parity(self, split: str, target: Target) -> Parity:
        """Return one split.

        :raises ValueError: if there is no such split.
        """
        if split not in self.splits:
            raise ValueError(f"no parity for the split `{split}`: there is {', '.join(self.splits) or 'none'}.")
        reference, predicted = (self.arrays[name].astype(float) for name in ("reference", f"{split}_predicted"))
        if target is Target.VALENCE:
            reference, predicted = reference[:, 0], predicted[:, 0]
        owners = self.arrays["configuration"]
        return Parity(
            split=split,
            unit=target.unit,
            reference=reference,
            predicted=predicted,
            part=np.where(self.arrays[f"{split}_test"], "test", "train"),
            site_index=self.arrays["site_index"],
            n_oxygen=self.arrays["n_oxygen"],
            formula=np.array(self.formulas)[owners],
            structure_digest=np.array(self.digests)[owners],
        )

    def state(self) -> dict[str, Any]:
        """Return tensors and plain values that :meth:`from_state` takes."""
        tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in self.arrays.items()}
        return {"arrays": tensors, "formulas": list(self.formulas), "digests": list(self.digests)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Evaluation:
        """Build from what :meth:`state` gave."""
        arrays = {name: tensor.numpy() for name, tensor in state["arrays"].items()}
        return cls(arrays, tuple(state["formulas"]), tuple(state["digests"]))
