"""AnalysisData: what one part of the analysis of a data set gave."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from aiida.orm import ArrayData, Data, Group
from numpy.typing import NDArray

from aiida_siox.data.dataset import DatasetData
from aiida_siox.data.model import ModelData
from aiida_siox.science.plain import plain

#: What every node says of itself, beside what its part says.
IDENTITY = ("part", "dataset_digest", "parameters", "version")

#: Groups of analyses, one for each data set, named after the digest of its contents.
GROUP_PREFIX = "siox/analysis/"


class AnalysisData(ArrayData):
    """Arrays and attributes of one part of the analysis.

    Attributes of every part: ``part``; ``dataset_digest``, the digest of the contents of the data set; ``parameters``
    and ``version`` that the part was run with; ``quantities``, what each target is, by name (``Quantity.to_dict``);
    ``coverage_asked`` of intervals and ``confidence`` of scores; ``n_sites``, ``n_configurations``, ``grid``, ``seed``,
    ``threads``, ``seconds``. Numbers of repetitions (``n_seeds``, ``n_repetitions``) stand by target.

    Arrays are named by target, which is the name of a property. Rows are the n sites of the data set, NaN where a site
    was not predicted or has not the property. ``…`` is (n,) of a scalar, (n, m) of any other kind; scalars alone have
    what is marked so.

    - ``splits``: ``{target}_{split}_predicted`` …, ``{target}_{split}_site_rmse`` (seeds, n),
      ``{target}_{split}_{baseline}_predicted`` …; scalars, random split: ``{target}_{split}_fitted`` (n,).
      ``scores[target][split]``, with ``baselines``; ``scores_unavailable[split]``.
    - ``windows``: ``window_names`` (w,), ``windows_eV`` (w, 2); scalars ``{target}_window_predicted`` and ``_fitted``
      (w, n); others ``{target}_window_site_rmse`` (w, n). ``scores[target][window]``.
    - ``averages``, rows are the c configurations ``{target}_configuration`` (c,): ``{target}_reference``,
      ``{target}_{variant}_predicted``; scalars ``{target}_{variant}_low`` and ``_high`` (c,). Variants: ``sites``,
      ``mixtures``. ``scores[target][variant]``; of scalars with ``bias``, ``bias_by_x``, ``coverage``; of fractions
      with ``total_variation``.
    - ``uncertainty``: ``{target}_predicted``, ``_low``, ``_high``, of scalars for each repetition (repetitions, n), of
      others for the first; ``novelty`` (n,) in units of ``novelty_threshold``. ``coverage[target]``: what the evaluator
      gives, of ``coverage`` the numbers ``coverage``, ``low``, ``high``, ``mean_width``, and ``by_x`` with rows of x
      and these; ``method``; ``false_alarms``; ``probes``.
    - ``learning_curve``, s sizes: ``{target}_n_sites`` (s, repeats), ``{target}_n_configurations`` (s,),
      ``{target}_rmse``, ``{target}_rmse_no_skill`` (s, repeats); scalars ``{target}_rmse_linear`` (s, repeats).
      ``fit[target]``, ``sites_needed[target]``; scalars ``linear_rmse[target]``.
    - ``model``: none; the models are nodes of their own.
    """

    @classmethod
    def from_result(
        cls,
        dataset: DatasetData,
        part: str,
        parameters: Mapping[str, Any],
        version: int,
        arrays: Mapping[str, NDArray[Any]],
        attributes: Mapping[str, Any],
    ) -> AnalysisData:
        """Return an unstored node.

        :param dataset: what was analysed.
        :param part: which part.
        :param parameters: what it was told.
        :param version: of the code that ran it.
        :param arrays: numbers, truth values or texts by name.
        :param attributes: plain values; numbers that are not finite become None.
        :raises ValueError: if an array holds Python objects, or an attribute has a name that is taken.
        """
        taken = sorted(key for key in attributes if key in IDENTITY or key.startswith("array|"))
        if taken:
            raise ValueError(
                f"the part `{part}` may not call an attribute {', '.join(taken)}: the node says that itself."
            )
        node = cls()
        for name, array in arrays.items():
            values = np.asarray(array)
            if values.dtype.kind not in "biufU":
                raise ValueError(
                    f"the array `{name}` of the part `{part}` has the type {values.dtype}: numbers or texts."
                )
            node.set_array(name, values)
        digest = dataset.base.attributes.get("digest", None)
        identity = {"part": part, "dataset_digest": digest, "parameters": dict(parameters), "version": version}
        node.base.attributes.set_many(plain({**attributes, **identity}))
        return node

    def _validate(self) -> bool:
        """Check before storing that the node says what it is of."""
        super()._validate()
        missing = [key for key in IDENTITY if self.base.attributes.get(key, None) in (None, "")]
        if missing:
            raise ValueError(
                f"an AnalysisData comes from AnalysisData.from_result; this one lacks {', '.join(missing)}."
            )
        return True

    @property
    def part(self) -> str:
        """Which part of the analysis it is."""
        return str(self.base.attributes.get("part"))

    @property
    def dataset_digest(self) -> str:
        """Digest of the contents of the data set."""
        return str(self.base.attributes.get("dataset_digest"))

    @property
    def scores(self) -> dict[str, Any]:
        """Scores by property and split, window or variant; empty for a part without."""
        return dict(self.base.attributes.get("scores", None) or {})

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """All arrays by name."""
        return {name: self.get_array(name) for name in self.get_arraynames()}

    def summary(self) -> dict[str, Any]:
        """Return what ``aiida-siox show`` prints of this node."""
        attributes = {
            key: value for key, value in self.base.attributes.all.items() if not key.startswith(("array|", "default_"))
        }
        shapes = {name: f"{'×'.join(map(str, array.shape)) or 1} {array.dtype}" for name, array in self.arrays.items()}
        return {"type": "analysis", "uuid": self.uuid, **attributes, "arrays": shapes}


def group_label(dataset: DatasetData) -> str:
    """Return the label of the group that holds the latest analysis of a data set.

    :raises ValueError: if the data set does not say the digest of its contents.
    """
    digest = dataset.base.attributes.get("digest", None)
    if not digest:
        raise ValueError("the data set has no `digest`: make it with the calcfunction `assemble`.")
    return f"{GROUP_PREFIX}{digest[:16]}"


def keep_in_group(dataset: DatasetData, nodes: Iterable[Data]) -> Group:
    """Put results into the group of a data set, in the place of older ones of the same part or property.

    :param nodes: stored AnalysisData and ModelData.
    """
    group, _ = Group.collection.get_or_create(group_label(dataset))
    nodes = list(nodes)
    replaced = {_role(node) for node in nodes}
    group.remove_nodes([node for node in group.nodes if _role(node) in replaced])
    group.add_nodes(nodes)
    return group


def analysis_of(dataset: DatasetData) -> tuple[dict[str, AnalysisData], dict[str, ModelData]]:
    """Return the latest analysis of a data set: parts by name, models by property; empty where there is none."""
    group = Group.collection.find({"label": group_label(dataset)})
    nodes = list(group[0].nodes) if group else []
    parts = {node.part: node for node in nodes if isinstance(node, AnalysisData)}
    return parts, {node.target: node for node in nodes if isinstance(node, ModelData)}


def _role(node: Data) -> tuple[str, str]:
    """Return what only one node of a group may be."""
    return ("part", node.part) if isinstance(node, AnalysisData) else ("model", str(node.base.attributes.get("target")))
