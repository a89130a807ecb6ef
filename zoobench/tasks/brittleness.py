"""How few training images must be left out for a model to classify a test image otherwise.

Source: Ilyas et al., Datamodels, arXiv 2202.00622, section 4.1 (data support); counterfactuals by retraining.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from zoo_generation.data.images import Images
from zoo_generation.data.load import load_images
from zoo_generation.errors import InputError
from zoo_generation.networks.accuracy import correct, logits, margins
from zoo_generation.training.jobs import dataset_key
from zoo_generation.training.memory import stack_size_for
from zoo_generation.training.objective import Objective
from zoo_generation.training.spec import ModelSpec
from zoo_generation.training.train import train_models
from zoobench.populations import Population
from zoobench.populations.target import Target
from zoobench.tasks.answers import Scores
from zoobench.tasks.base import Setting, Work
from zoobench.tasks.estimates import Estimate
from zoobench.tasks.fine_tuning import specs_like
from zoobench.tasks.image_scores import ImageScores

RANDOM_SEED = 0  # of the images that are left out at random, the same for all methods
ROUND = 2**20  # seeds, so that those of models stay in their range


@dataclass(frozen=True)
class Brittleness(ImageScores):
    """Leave out the training images that a method scores highest for a test image, train models anew on the others, as
    the target's were trained, and see whether they classify the test image otherwise.

    images: how many test images, as in `ImageScores`; left_out: how many training images, each number in turn; seeds:
    models that are trained for each. An image that is left out counts 0 in its batch: all models of a seed begin alike,
    and see the others in the same order. Beside them stand models without as many random images.
    """

    images: int = 20
    left_out: tuple[int, ...] = (10, 20, 40, 80, 160)
    seeds: int = 3

    name: ClassVar[str] = "brittleness"
    version: ClassVar[int] = 2
    summary: ClassVar[str] = "Say which training images an answer hangs on: how often it changes without them"
    paper: ClassVar[str] = "arXiv 2202.00622"
    primary: ClassVar[str] = "advantage"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.seeds < 1 or not self.left_out or min(self.left_out) < 1:
            raise InputError(
                f"brittleness was given {self.seeds} seeds, and leaves out {self.left_out} images; take 1 or more of "
                "each"
            )

    def reads(self, target: Population) -> Population:
        """One checkpoint: judging needs to know how the target's models were trained, and none of their weights."""
        return target.select(np.arange(len(target)) == 0)

    def judge(self, answer: Scores, setting: Setting) -> pd.DataFrame:
        """One row for each asked test image, number of images left out, and seed.

        Columns: model, the number of the test image; left_out; seed; right, whether models of all seeds have it right
        if no image is left out; flipped, whether the model has it wrong; margin, of the image's label;
        flipped_at_random and margin_at_random, the same without random images.
        """
        row = setting.target.table.iloc[0]
        numbers, asked = self.asked(setting)
        first = (setting.seed + int(row["seed"])) % ROUND  # fresh models of the target stand for fresh ones here
        seeds = specs_like(row, self.seeds, (int(row["epochs"]),), first)
        highest = answer.values.argsort(dim=1, descending=True, stable=True)
        images, counts = highest.shape[1], len(self.left_out)
        random = np.random.default_rng(RANDOM_SEED)
        others = torch.from_numpy(np.stack([random.permutation(images) for _ in range(self.seeds)]))
        parts: list[pd.DataFrame] = []
        for number, spec in enumerate(seeds):
            without = self._without(torch.cat([others[number : number + 1], highest]))
            answers = self._answers(spec, torch.cat([torch.ones(1, images), without.flatten(0, 1)]), asked, setting)
            right = correct(answers, asked.labels)
            columns = {"right": right[0, :, None].expand(-1, counts)}
            for name, values in (("flipped", ~right), ("margin", margins(answers.double(), asked.labels))):
                each = values[1:].unflatten(0, (1 + len(numbers), counts))
                columns |= {name: each[1:].diagonal(dim1=0, dim2=2).T, f"{name}_at_random": each[0].T}  # of its own row
            known = {
                "model": np.repeat(numbers.numpy().astype(str), counts),
                "left_out": np.tile(self.left_out, len(numbers)),
                "seed": number,
            }
            parts.append(pd.DataFrame(known | {name: values.numpy().ravel() for name, values in columns.items()}))
        table = pd.concat(parts, ignore_index=True)
        return table.assign(right=table.groupby("model")["right"].transform("all"))

    def _without(self, order: Tensor) -> Tensor:
        """Weights of images [rows, numbers left out, images] without the first ones of each row of an order."""
        kept = torch.ones(len(order), len(self.left_out), order.shape[1])
        for place, count in enumerate(self.left_out):
            kept[:, place].scatter_(1, order[:, :count], 0.0)
        return kept

    def _answers(self, spec: ModelSpec, weights: Tensor, asked: Images, setting: Setting) -> Tensor:
        """Logits [models, images, classes] of the asked images; each model is trained with a row of weights [models,
        training images] of the losses. NaN if it diverges."""
        dataset, target = load_images(dataset_key(spec), setting.images.data_root), Target.of(setting.target)
        trained = train_models(
            [spec] * len(weights),
            dataset,
            stack_size_for(spec, dataset, setting.device),
            setting.device,
            objective=Objective(dataset.train.labels, weights=weights),
        )
        flat = torch.full((len(trained), target.layout.size), torch.nan)
        for number, model in enumerate(trained):
            if model.status != "diverged":
                flat[number] = target.layout.flatten(model.checkpoints[-1].state)
        return logits(flat, target.layout, target.module(), asked.images, setting.device)

    def score(self, observations: pd.DataFrame) -> dict[str, Estimate]:
        """Of the test images that models on all images have right, means over images, seeds and numbers left out:
        `advantage`, how much more often they are wrong than without random images; `flips` and `flips_at_random`; and
        `flips_10` and the like, for each number left out. `drop`, how much lower their margin is than without random
        images, says more of few images; models that diverge have none."""
        table = observations[observations["right"]]
        flipped, at_random = (table[name].astype(float) for name in ("flipped", "flipped_at_random"))
        scores = {
            "advantage": Estimate.mean(table["model"], flipped - at_random),
            "flips": Estimate.mean(table["model"], flipped),
            "flips_at_random": Estimate.mean(table["model"], at_random),
        }
        drop = table["margin_at_random"] - table["margin"]
        scores["drop"] = Estimate.mean(table["model"][drop.notna()], drop[drop.notna()])
        for count, rows in table.groupby("left_out"):
            scores[f"flips_{count}"] = Estimate.mean(rows["model"], rows["flipped"].astype(float))
        return scores

    def work(self, checkpoints: int, train_images: int) -> Work:
        """What training takes, for twenty epochs (a backward pass counts as two forward ones)."""
        models = self.seeds * (1 + len(self.left_out) * (1 + self.images))
        return Work(models=10, images=60 * models * train_images)


BRITTLENESS = Brittleness()
