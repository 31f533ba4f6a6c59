"""References and predictions of every site for each split: what parity plots are drawn from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aiida_siox.learning.data.sites import SiteSet
from aiida_siox.learning.training.scores import Held
from aiida_siox.science.quantity import Quantity

Array = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Parity:
    """References and predictions of every site that has the property for one split; NaN where there is none.

    :param split: ``random``, ``grouped`` or ``composition``.
    :param quantity: what was learned.
    :param reference: shape (n,) for a scalar, else (n, n_outputs).
    :param predicted: the same shape.
    :param part: ``train`` or ``test``, shape (n,).
    :param site_index: index of the site in its structure, shape (n,).
    :param n_ligands: number of ligands, −1 where it is not known, shape (n,).
    :param formula: of the configuration, shape (n,).
    :param group: of the configuration, a label that equal ones share, shape (n,).
    """

    split: str
    quantity: Quantity
    reference: Array
    predicted: Array
    part: NDArray[np.str_]
    site_index: NDArray[np.int64]
    n_ligands: NDArray[np.int64]
    formula: NDArray[np.str_]
    group: NDArray[np.str_]

    @property
    def test(self) -> NDArray[np.bool_]:
        """Which rows are test sites, shape (n,)."""
        return np.asarray(self.part == "test")

    @property
    def rmse_per_site(self) -> Array:
        """RMSE of each row over its outputs (the absolute error of a scalar), shape (n,)."""
        error = (self.predicted - self.reference).reshape(len(self.part), -1)
        return np.sqrt((error**2).mean(axis=1))


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """References and predictions of all splits.

    :param arrays: ``reference`` (n, n_outputs), ``site_index``, ``n_ligands``, ``configuration`` (n,), and for each
        split ``{split}_predicted`` (n, n_outputs) and ``{split}_test`` (n,).
    :param formulas: formula of each configuration.
    :param groups: of each configuration.
    """

    arrays: Mapping[str, NDArray[Any]]
    formulas: tuple[str, ...]
    groups: tuple[str, ...]

    @classmethod
    def of(cls, sites: SiteSet, target: str, held: Mapping[str, Held]) -> Evaluation:
        """Take the first repetition of each split.

        :param sites: the data set.
        :param target: name of the property that was learned.
        :param held: by split, from :func:`~aiida_siox.learning.training.scores.hold_out`.
        """
        examples = sites.examples(target)
        arrays: dict[str, NDArray[Any]] = {
            "reference": examples.targets.astype(np.float32),
            "site_index": sites.site_index[examples.rows],
            "n_ligands": sites.n_ligands[examples.rows],
            "configuration": examples.configuration,
        }
        for split, result in held.items():
            predicted = np.where(result.tested[:, None], result.predicted, result.fitted)
            arrays[f"{split}_predicted"] = predicted.astype(np.float32)
            arrays[f"{split}_test"] = result.tested
        return cls(arrays, sites.formulas, sites.groups)

    @property
    def splits(self) -> list[str]:
        """Splits that there are."""
        return [name.removesuffix("_predicted") for name in self.arrays if name.endswith("_predicted")]

    def parity(self, split: str, quantity: Quantity) -> Parity:
        """Return one split.

        :raises ValueError: if there is no such split.
        """
        if split not in self.splits:
            raise ValueError(f"no parity for the split `{split}`: there is {', '.join(self.splits) or 'none'}.")
        reference, predicted = (
            quantity.as_stored(self.arrays[name].astype(float)) for name in ("reference", f"{split}_predicted")
        )
        owners = self.arrays["configuration"]
        return Parity(
            split=split,
            quantity=quantity,
            reference=reference,
            predicted=predicted,
            part=np.where(self.arrays[f"{split}_test"], "test", "train"),
            site_index=self.arrays["site_index"],
            n_ligands=self.arrays["n_ligands"],
            formula=np.array(self.formulas)[owners],
            group=np.array(self.groups)[owners],
        )

    def state(self) -> dict[str, Any]:
        """Return tensors and plain values that :meth:`from_state` takes."""
        tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in self.arrays.items()}
        return {"arrays": tensors, "formulas": list(self.formulas), "groups": list(self.groups)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Evaluation:
        """Build from what :meth:`state` gave."""
        arrays = {name: tensor.numpy() for name, tensor in state["arrays"].items()}
        return cls(arrays, tuple(state["formulas"]), tuple(state["groups"]))
