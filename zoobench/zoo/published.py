"""Names in the zoos published at modelzoos.cc (Schürholt et al., arXiv 2209.14764, and their Ray Tune files)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from zoobench.zoo.schema import METRICS

CONFIG = {
    "activation": "model::nlin",
    "init": "model::init_type",
    "dropout": "model::dropout",
    "channels": "model::channels_in",
    "classes": "model::o_dim",
    "optimizer": "optim::optimizer",
    "learning_rate": "optim::lr",
    "weight_decay": "optim::wd",
    "schedule": "optim::scheduler",
    "batch_size": "training::batchsize",
    "epochs": "training::epochs_train",
    "seed": "seed",
}
"""Key of the configuration by our column."""

RESULTS = {name: name.replace("_accuracy", "_acc") for name in METRICS}
"""Key of a row of results by our column."""

SCHEDULES = {"OneCycleLR": "onecycle"}
TYPES = {"cnn_s": "CNN", "cnn_m": "CNN2", "cnn_l": "CNN3", "resnet18": "Resnet18"}
"""Value of `model::type` by our architecture; with `_width` behind it for a width other than 1."""

SAME_CONFIG = "params"
"""Stands in a model's `source` for the `config` of a row of results that equals the model's params."""

_DROPOUTS_BEFORE = {"3": 1, "6": 2, "9": 2, "11": 3}
"""Dropout modules before a layer of CNN and CNN2, by its index without them: they count only if dropout is used."""


def entry_names(architecture: str, dropout: float | None, names: Iterable[str]) -> dict[str, str]:
    """Published state-dict keys by ours, in our order."""
    if architecture not in ("cnn_s", "cnn_m") or not dropout:
        return {name: name for name in names}
    return {name: _shifted(name) for name in names}


def _shifted(name: str) -> str:
    return re.sub(r"(?<=\.)\d+(?=\.)", lambda index: str(int(index[0]) + _DROPOUTS_BEFORE.get(index[0], 0)), name)
