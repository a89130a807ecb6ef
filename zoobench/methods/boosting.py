"""Gradient-boosted trees that read a property off features, and stop before they learn the models by heart.

Source: Unterthiner et al., Predicting Neural Network Accuracy from Weights, arXiv 2002.11448, section 4, where boosted
trees read accuracy far better than a linear map off the same statistics. Their number of trees was chosen on test
models; here held-out models choose it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Strings = NDArray[np.str_]

MOST, FIXED = 500, 100  # trees: at most, and if there are no held-out models
PATIENCE = 20  # trees that may pass without a smaller loss on held-out models
LEAVES, SMALLEST = 15, 10  # leaves per tree; checkpoints per leaf
TRIED = 64  # features that a split chooses among, drawn anew for each: so the cost does not grow with their number


def read_by_trees(
    features: Array, values: Array | Strings, held_out: NDArray[np.bool_], asked: Array
) -> Array | Strings:
    """Predict a property of other checkpoints, `asked` [others, width], by gradient boosting.

    features: [checkpoints, width], NaN where one is missing; values: [checkpoints] float64, or strings for classes;
    held_out: [checkpoints] which of them choose the number of trees, all checkpoints of a model alike. Then that many
    trees are fitted to all checkpoints. The same input gives the same output, whatever the number of cores.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    told = ~np.isnan(features if held_out.all() else features[~held_out]).all(0)  # the trees take no others
    features, asked = (each[:, told] if told.any() else np.zeros((len(each), 1)) for each in (features, asked))
    kind: Any = HistGradientBoostingRegressor if values.dtype.kind == "f" else HistGradientBoostingClassifier
    tried = min(1.0, TRIED / max(1, features.shape[1]))
    settings = {"max_leaf_nodes": LEAVES, "min_samples_leaf": SMALLEST, "max_features": tried, "random_state": 0}
    with threadpool_limits(1):  # sums over threads would depend on their number
        trees = _trees(kind, settings, features, values, held_out)
        fitted = kind(max_iter=trees, early_stopping=False, **settings).fit(features, values)
        return np.asarray(fitted.predict(asked))


def _trees(
    kind: Any, settings: dict[str, Any], features: Array, values: Array | Strings, held_out: NDArray[np.bool_]
) -> int:
    """The number of trees with the smallest loss on the held-out checkpoints, whose class others must have."""
    learned = values[~held_out]
    judged = held_out if values.dtype.kind == "f" else held_out & np.isin(values, learned)
    if not judged.any() or len(np.unique(learned)) < 2:
        return FIXED
    stopped = kind(max_iter=MOST, early_stopping=True, n_iter_no_change=PATIENCE, scoring="loss", **settings)
    stopped.fit(features[~held_out], learned, X_val=features[judged], y_val=values[judged])
    return max(1, int(np.argmax(stopped.validation_score_)))  # its first score is that of no tree
