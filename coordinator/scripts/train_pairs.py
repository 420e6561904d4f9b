"""Train the semantic cache's guard and write ``cache/pair_weights.json``.

    python -m coordinator.scripts.train_pairs        (from the repository's root)

Reads the judged question pairs of ``HYBRID_AI_DATA`` (default ``../shared/data`` beside the
repository). A fifth of them, by connected questions, is never looked at (``cache_pairs`` in
tests/benchmarks measures on it). On the rest, cue weights (a sparse logistic regression) and
boosted trees are fitted; the bars are set on probabilities that each pair got from a model that
had not seen its questions. Deterministic. Needs scikit-learn and scipy, which serving does not.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from coordinator.scripts.pair_vectors import data_file, vectors_of
from scipy.sparse import csr_matrix, hstack  # type: ignore[import-untyped]
from scipy.stats import beta  # type: ignore[import-untyped]
from sklearn.ensemble import HistGradientBoostingClassifier  # type: ignore[import-untyped]
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from hybrid_coordinator.cache import pair_model
from hybrid_coordinator.cache.guard import ALIKE
from hybrid_coordinator.cache.pair_alike import are_alike
from hybrid_coordinator.cache.pair_data import JudgedPair, load
from hybrid_coordinator.cache.pair_features import (
    CUES,
    FEATURES,
    SIMILARITY,
    CueTable,
    cues,
    features,
    key_of,
)
from hybrid_coordinator.cache.pair_model import Bar, PairModel, PairWeights, Trees
from hybrid_coordinator.cache.pair_rules import broken_rule
from hybrid_coordinator.cache.pair_text import Question, read

FOLDS = 5
CONFIDENCE = 0.95
RAREST_STEM = 2
RAREST_CUE = 5
DOUBTFUL = 0.8

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

# More of these can only speak for, or against, the same question. It keeps the model sensible
# for questions unlike the training data's.
_FOR = (
    "similarity", "words_shared", "content_shared", "rarity_shared", "grams_shared",
    "order_words", "order_content", "cues_unmatched", "cues_shared", "cues_order",
    "cues_opening",
)  # fmt: skip
_AGAINST = (
    "rarity_unmatched_more", "rarest_unmatched_more", "rarest_unmatched_less",
    "content_unmatched_more", "names_unmatched", "quantities_differ",
)  # fmt: skip


class TrainingSet:
    """The pairs to train on, read; rows are pairs."""

    def __init__(self, pairs: list[JudgedPair], similarity: Floats) -> None:
        self.read = [(read(p.a), read(p.b)) for p in pairs]
        self.same: Flags = np.array([p.same for p in pairs])
        self.fold = np.array([p.fold(FOLDS) for p in pairs])
        self.similarity = similarity
        self.broken: Flags = np.array([broken_rule(a, b) is not None for a, b in self.read])
        self.alike: Flags = np.array([are_alike(a, b) for a, b in self.read])
        self.rarity, self.unknown = _rarities([q for pair in self.read for q in pair])
        self.features = self._features(CueTable(self.rarity, self.unknown, {}))

    def _features(self, table: CueTable) -> Floats:
        return np.array(
            [
                features(a, b, similarity, table, broken=bool(broken))
                for (a, b), similarity, broken in zip(
                    self.read, self.similarity, self.broken, strict=True
                )
            ]
        )


def _rarities(questions: list[Question]) -> tuple[dict[int, float], float]:
    distinct = {q.words: q for q in questions}
    seen = Counter(stem for q in distinct.values() for stem in set(q.stems))
    of = len(distinct) + 1
    rarity = {key_of(s): math.log(of / (n + 1)) for s, n in seen.items() if n >= RAREST_STEM}
    return rarity, math.log(of)


def fit_cues(data: TrainingSet) -> tuple[dict[int, float], Floats]:
    """Cue weights from all rows; and each row's cue sums by weights fitted without its fold."""
    # Sorted, because the order in a set differs from run to run and sums of floats with it.
    found = [[sorted(map(key_of, some)) for some in cues(a, b)] for a, b in data.read]
    counts = Counter(key for row in found for keys in row for key in keys)
    common = sorted(key for key, count in counts.items() if count >= RAREST_CUE)
    column = {key: at for at, key in enumerate(common)}
    groups = [_present([row[group] for row in found], column) for group in range(len(found[0]))]
    # What the trees see anyway, so that the cues explain the rest.
    known = ("similarity", "grams_shared", "rarity_shared", "order_words")
    beside = data.features[:, [FEATURES.index(name) for name in known]]
    both = hstack([sum(groups), csr_matrix(np.c_[beside, data.similarity**2] * 3.0)]).tocsr()

    def weights(of: Flags) -> Floats:
        model = LogisticRegression(C=0.15, solver="liblinear", random_state=0)
        coefficients: Floats = model.fit(both[of], data.same[of]).coef_[0][: len(column)]
        return coefficients

    unseen = np.zeros((len(found), len(groups)))
    for fold in range(FOLDS):
        inside = data.fold == fold
        fitted = weights(~inside)
        unseen[inside] = np.column_stack([group[inside] @ fitted for group in groups])
    everything = weights(np.ones(len(found), dtype=np.bool_))
    return {key: float(everything[at]) for key, at in column.items()}, unseen


def _present(rows: list[list[int]], column: dict[int, int]) -> csr_matrix:
    where = [(at, column[key]) for at, keys in enumerate(rows) for key in keys if key in column]
    indices = np.array(where).T
    return csr_matrix((np.ones(len(where)), indices), (len(rows), len(column)))


def fit_trees(values: Floats, same: Flags) -> HistGradientBoostingClassifier:
    """Boosted trees (log-loss), small and regularised: labels are noisy, pairs are few."""
    direction = [1 if n in _FOR else -1 if n in _AGAINST else 0 for n in FEATURES]
    model = HistGradientBoostingClassifier(
        max_iter=300,
        learning_rate=0.04,
        max_leaf_nodes=6,
        min_samples_leaf=60,
        l2_regularization=10.0,
        max_features=0.3,
        monotonic_cst=direction,
        early_stopping=False,
        random_state=0,
    )
    return model.fit(values, same)


def fit_model(values: Floats, data: TrainingSet) -> PairModel:
    """Trees from all rows, with bars from probabilities that each row got unseen.

    A first fit finds labels that are most likely wrong ("what novel should I read" and "which
    novel should I read" as different); the second does not learn from those (Northcutt et al.,
    "Confident learning", JAIR 70, 2021). The bars count them all the same.
    """
    doubtful = (_unseen(values, data) > DOUBTFUL) & ~data.same & ~data.broken
    unseen = _unseen(values, data, ~doubtful)
    unseen = np.where(data.alike, np.maximum(unseen, ALIKE), unseen)
    unseen[data.broken] = -1.0
    trees = fit_trees(values[~doubtful], data.same[~doubtful])
    return PairModel(_flatten(trees), tuple(bars(unseen, data.same)))


def _unseen(values: Floats, data: TrainingSet, learnt: Flags | None = None) -> Floats:
    """Each row's probability by trees fitted to the ``learnt`` rows of the other folds."""
    probability = np.zeros(len(values))
    for fold in range(FOLDS):
        inside = data.fold == fold
        others = ~inside if learnt is None else ~inside & learnt
        model = fit_trees(values[others], data.same[others])
        probability[inside] = model.predict_proba(values[inside])[:, 1]
    return probability


def bars(probability: Floats, same: Flags) -> list[Bar]:
    """For growing numbers of wrong answers, the bar with no more, and its error's upper bound.

    The bound is Clopper and Pearson's (Biometrika 26, 1934), one-sided, on wrong answers of all
    asked. The error only falls as the bar rises, so taking the lowest bar whose bound is within
    the wanted error keeps it with ``CONFIDENCE`` (Bates et al., "Distribution-free,
    risk-controlling prediction sets", J. ACM 68, 2021; a pointwise bound is enough there).
    """
    n = len(probability)
    wrong = np.sort(probability[~same & (probability >= 0.0)])[::-1]
    counts = sorted({*range(60), *np.geomspace(60, len(wrong), 120).astype(int).tolist()})
    found: list[Bar] = []
    for count in counts:
        just_above = float(np.nextafter(wrong[count], 2.0)) if count < len(wrong) else 0.0
        bound = float(beta.ppf(CONFIDENCE, count + 1, n - count))
        if found and found[-1].probability == just_above:
            found.pop()
        found.append(Bar(round(bound, 6), just_above))
    return found


def _flatten(model: HistGradientBoostingClassifier) -> Trees:
    """scikit-learn's trees as arrays."""
    parts: dict[str, list[npt.NDArray[Any]]] = {k: [] for k in ("f", "t", "l", "r", "v")}
    roots: list[int] = []
    depth = start = 0
    for (tree,) in model._predictors:
        nodes = tree.nodes
        leaf = nodes["is_leaf"].astype(bool)
        itself = np.arange(len(nodes))
        parts["f"].append(np.where(leaf, 0, nodes["feature_idx"]))
        parts["t"].append(np.where(leaf, 0.0, nodes["num_threshold"]))
        parts["l"].append(start + np.where(leaf, itself, nodes["left"]))
        parts["r"].append(start + np.where(leaf, itself, nodes["right"]))
        parts["v"].append(np.where(leaf, nodes["value"], 0.0))
        roots.append(start)
        depth = max(depth, int(nodes["depth"].max()))
        start += len(nodes)
    f, t, left, right, v = (np.concatenate(parts[k]) for k in ("f", "t", "l", "r", "v"))
    base = float(np.ravel(model._baseline_prediction)[0])
    return Trees(f, t, left, right, v, np.array(roots), base, depth)


def train(pairs: list[JudgedPair]) -> PairWeights:
    """Everything there is to learn from ``pairs``; held-out ones are not looked at."""
    pairs = [p for p in pairs if not p.held_out]
    questions = sorted({q for p in pairs for q in (p.a, p.b)})
    vectors, embedder = vectors_of(questions)
    at = {q: i for i, q in enumerate(questions)}
    a, b = vectors[[at[p.a] for p in pairs]], vectors[[at[p.b] for p in pairs]]
    data = TrainingSet(pairs, np.einsum("ij,ij->i", a, b).astype(np.float64))
    weights, unseen = fit_cues(data)
    values = data.features.copy()
    values[:, CUES] = unseen
    blind = values.copy()
    blind[:, SIMILARITY] = 0.0
    return PairWeights(
        embedder=embedder,
        cues=CueTable(data.rarity, data.unknown, weights),
        with_similarity=fit_model(values, data),
        without_similarity=fit_model(blind, data),
    )


def main() -> int:
    """Train and write; skip where the data is absent."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(pair_model.__file__).with_name(pair_model.WEIGHTS_FILE)
    parser.add_argument("--output", type=Path, default=default)
    arguments = parser.parse_args()
    path = data_file()
    if not path.is_file():
        sys.stdout.write(f"skipped: {path} is not there; set HYBRID_AI_DATA\n")
        return 0
    with threadpool_limits(1):  # sums split over threads depend on their number
        text = pair_model.to_json(train(load(path)))
    arguments.output.write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(f"wrote {arguments.output} ({len(text) // 1000} kB)\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
