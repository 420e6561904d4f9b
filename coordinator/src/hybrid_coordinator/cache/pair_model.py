"""The learned probability that two questions ask the same, and the bar it must reach.

Reads ``pair_weights.json``, which ``coordinator/scripts/train_pairs.py`` writes: a table of cues,
and for each way of judging (with an embedder's similarity, and without) boosted trees and a table
of bars. Only numpy is needed here; nothing is learned at run time.
"""

from __future__ import annotations

import base64
import json
import math
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hybrid_coordinator.cache.pair_features import CueTable

WEIGHTS_FILE: Final = "pair_weights.json"
NEVER: Final = math.inf
"""A bar that no probability reaches."""

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Trees:
    """Boosted regression trees whose sum is a log-odds; arrays are by node, of all trees in turn.

    Attributes:
        feature: index of the feature a node looks at.
        threshold: it goes left if the feature is at most this.
        left: the next node, or the node itself where it is a leaf; ``right`` alike.
        value: a leaf's log-odds.
        roots: each tree's first node.
        base: log-odds before any tree.
        depth: steps from a root to the deepest leaf.
    """

    feature: Integers
    threshold: Floats
    left: Integers
    right: Integers
    value: Floats
    roots: Integers
    base: float
    depth: int

    def probability(self, features: list[float]) -> float:
        """The probability (0…1) for one pair's features."""
        goes_left = np.array(features)[self.feature] <= self.threshold
        following = np.where(goes_left, self.left, self.right)
        node = self.roots
        for _ in range(self.depth):
            node = following[node]
        return 1.0 / (1.0 + math.exp(-self.base - float(self.value[node].sum())))


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of the calibration: at ``probability`` or above, errors are at most ``max_error``.

    ``max_error`` is an upper confidence bound on wrong answers as a share of all asked.
    """

    max_error: float
    probability: float


@dataclass(frozen=True, slots=True, eq=False)
class PairModel:
    """One way of judging: trees, and their bars from the strictest on."""

    trees: Trees
    bars: tuple[Bar, ...]

    def bar(self, max_error: float) -> float:
        """The lowest probability that keeps ``max_error``; ``NEVER`` where none is known to."""
        kept = [bar.probability for bar in self.bars if bar.max_error <= max_error]
        return kept[-1] if kept else NEVER


@dataclass(frozen=True, slots=True, eq=False)
class PairWeights:
    """All that was learned.

    Attributes:
        embedder: whose similarities ``with_similarity`` was trained on.
        cues: word rarities and cue weights.
        with_similarity: for that embedder.
        without_similarity: for any other; the similarity is not looked at.
    """

    embedder: str
    cues: CueTable
    with_similarity: PairModel
    without_similarity: PairModel


@lru_cache(maxsize=1)
def shipped_weights() -> PairWeights:
    """The weights in the package, read once."""
    text = resources.files(__package__).joinpath(WEIGHTS_FILE).read_text("utf-8")
    return from_json(text)


def from_json(text: str) -> PairWeights:
    """Weights from the text that ``to_json`` makes."""
    raw = json.loads(text)
    rarity, weights = raw["rarity"], raw["cues"]
    return PairWeights(
        embedder=raw["embedder"],
        cues=CueTable(
            rarity=_table(rarity),
            unknown=rarity["unknown"],
            weights=_table(weights),
        ),
        with_similarity=_model(raw["with_similarity"]),
        without_similarity=_model(raw["without_similarity"]),
    )


def to_json(weights: PairWeights) -> str:
    """The file's text. Table values keep 8 bits, so calibrate what ``from_json`` gives back."""
    return json.dumps(
        {
            "embedder": weights.embedder,
            "with_similarity": _raw_model(weights.with_similarity),
            "without_similarity": _raw_model(weights.without_similarity),
            "rarity": _raw_table(weights.cues.rarity) | {"unknown": weights.cues.unknown},
            "cues": _raw_table(weights.cues.weights),
        },
        indent=1,
    )


def _raw_table(table: Any) -> dict[str, Any]:
    keys = sorted(table)
    values = np.array([table[key] for key in keys])
    step = float(np.abs(values).max(initial=1e-9)) / 127
    return {
        "step": step,
        "keys": _pack(np.array(keys), "<u4"),
        "values": _pack(np.rint(values / step), "<i1"),
    }


def _table(raw: dict[str, Any]) -> dict[int, float]:
    keys = _unpack(raw["keys"], "<u4").tolist()
    values = (_unpack(raw["values"], "<i1") * raw["step"]).tolist()
    return dict(zip(keys, values, strict=True))


_NODE_TYPES: Final = {
    "feature": "<u1",
    "threshold": "<f4",
    "left": "<u2",
    "right": "<u2",
    "value": "<f4",
    "roots": "<u2",
}


def _raw_model(model: PairModel) -> dict[str, Any]:
    nodes = {name: _pack(getattr(model.trees, name), kind) for name, kind in _NODE_TYPES.items()}
    return {
        "bars": [[bar.max_error, bar.probability] for bar in model.bars],
        "trees": nodes | {"base": model.trees.base, "depth": model.trees.depth},
    }


def _model(raw: dict[str, Any]) -> PairModel:
    trees = raw["trees"]
    nodes = {name: _unpack(trees[name], kind) for name, kind in _NODE_TYPES.items()}
    return PairModel(
        trees=Trees(
            feature=nodes["feature"].astype(np.int64),
            threshold=nodes["threshold"].astype(np.float64),
            left=nodes["left"].astype(np.int64),
            right=nodes["right"].astype(np.int64),
            value=nodes["value"].astype(np.float64),
            roots=nodes["roots"].astype(np.int64),
            base=trees["base"],
            depth=trees["depth"],
        ),
        bars=tuple([Bar(error, probability) for error, probability in raw["bars"]]),
    )


def _pack(values: npt.NDArray[Any], kind: str) -> str:
    return base64.b64encode(values.astype(kind).tobytes()).decode("ascii")


def _unpack(text: str, kind: str) -> npt.NDArray[Any]:
    return np.frombuffer(base64.b64decode(text), dtype=kind)
