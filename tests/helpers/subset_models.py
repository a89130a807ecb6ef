"""Small models trained on subsets of a few digits, as a population with the evidence that attribution may see."""

from __future__ import annotations

from functools import cache

import pandas as pd
import torch

from zoo_generation.data.images import ImageDataset, Images, normalised
from zoo_generation.data.load import ImageStore, load_images
from zoo_generation.networks.architectures import Layout
from zoo_generation.training.jobs import dataset_key
from zoo_generation.training.spec import ModelSpec, make_spec
from zoo_generation.training.train import train_models
from zoobench.populations import Access, Evidence, Population, Tokenizer

IMAGES = 60


def specs_of(subsets: int = 6, **fields: object) -> list[ModelSpec]:
    """Perceptrons of two hidden units a layer, which see half of the images."""
    given = {
        "datasets": "digits",
        "architectures": "mlp",
        "activation": "tanh",
        "width": 0.03125,
        "learning_rate": 0.01,
        "batch_size": 8,
        "epochs": 4,
        "checkpoint_epochs": [1, 2, 3, 4],
        "train_images": IMAGES,
        "subset_fraction": 0.5,
        "subsets": subsets,
        "seeds": 1,
    }
    return make_spec(given | fields).models()


@cache
def bank_of(subsets: int = 6, seeds: int = 1, first: int = 0, width: float = 0.03125) -> Population:
    """Checkpoints of all epochs; rows of the table are those of a zoo."""
    specs = specs_of(subsets, seeds=seeds, subset_seed=first, width=width)
    trained = train_models(specs, dataset(), 8)
    layout, rows, weights = Layout.of(trained[0].checkpoints[0].state), [], []
    for model in trained:
        own = model.spec.model_dump(exclude={"checkpoint_epochs", "part"}) | {"data_part": None, "split": "train"}
        own |= {"model_id": model.spec.id, "channels": 1, "classes": 10}
        for checkpoint in model.checkpoints:
            rows.append(own | {"epoch": checkpoint.epoch})
            weights.append(layout.flatten(checkpoint.state))
    table = pd.DataFrame(rows)
    population = Population.of("digits-mlp", Tokenizer.of(layout), torch.stack(weights), table)
    return population.shown(Evidence(Access.LABELS, ImageStore()))


def dataset() -> ImageDataset:
    return load_images(dataset_key(specs_of(1)[0]), None)


def asked(count: int = 5) -> Images:
    """The first test images."""
    whole = dataset()
    return Images(*normalised(whole, whole.test, "cpu")).first(count)
