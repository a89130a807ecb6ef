"""What tasks measure, against cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pandas as pd

from zoobench.tasks.property_prediction import probe


def table_of(accuracy: np.ndarray, checkpoints: int) -> pd.DataFrame:
    models = len(accuracy) // checkpoints
    splits = np.array(["train"] * (models - 8) + ["val"] * 4 + ["test"] * 4)
    return pd.DataFrame(
        {
            "model_id": np.repeat([f"model-{i}" for i in range(models)], checkpoints),
            "split": np.repeat(splits, checkpoints),
            "test_accuracy": accuracy,
            "train_accuracy": accuracy + 0.1,
            "epoch": np.tile(np.arange(checkpoints), models),
            "learning_rate": np.repeat(np.where(np.arange(models) % 2, 0.1, 0.01), checkpoints),
        }
        | dict.fromkeys(("activation", "init", "optimizer", "weight_decay", "dropout", "batch_size"), 0)
    )


def test_a_probe_reads_what_is_linear_and_only_that() -> None:
    random = np.random.default_rng(0)
    features = random.standard_normal((24 * 5, 16))
    readable = dict(probe(features, table_of(features @ random.standard_normal(16), 5)))
    assert readable["r2:test_accuracy"] > 0.99 and readable["tau:test_accuracy"] > 0.9
    noise = dict(probe(features, table_of(random.standard_normal(24 * 5), 5)))
    assert noise["r2:test_accuracy"] < 0.3
    assert {"r2:generalization_gap", "tau:epoch", "accuracy:learning_rate"} < set(noise)
    assert "accuracy:optimizer" not in noise  # it does not vary


def test_a_probe_does_not_recognise_models_it_has_seen() -> None:
    """Features that identify a model predict its accuracy perfectly among its own checkpoints, and no other's."""
    random = np.random.default_rng(1)
    features = np.repeat(random.standard_normal((24, 40)), 5, axis=0)
    accuracy = np.repeat(random.standard_normal(24), 5)
    assert dict(probe(features, table_of(accuracy, 5)))["r2:test_accuracy"] < 0.5
