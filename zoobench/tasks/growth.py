"""What small trained models spare a large one of its training, if they are grown into it.

Source: Wang et al., Learning to Grow Pretrained Models, arXiv 2303.00980, section 4: the operations that are saved on
the way to the accuracy of training from scratch, those of the growth itself included.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import UnionType
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from zoo_generation.data.load import load_images
from zoo_generation.errors import InputError
from zoo_generation.networks.accuracy import correct
from zoo_generation.networks.architectures import get_architecture
from zoo_generation.networks.flops import TRAINING, counted
from zoo_generation.networks.program import with_ties
from zoo_generation.training.jobs import dataset_key
from zoo_generation.training.sink import Point, TrainedModel
from zoo_generation.training.spec import ModelSpec
from zoobench.methods.protocols import Generator, Grower, Grown, InapplicableError, Samplable
from zoobench.methods.sampling import Draw, choose_anchors, generate
from zoobench.populations import Access, Population
from zoobench.populations.logits import logits_of
from zoobench.populations.target import Target, corresponding
from zoobench.tasks.answers import Weights
from zoobench.tasks.base import TEST_IMAGES, Setting, Work
from zoobench.tasks.estimates import Estimate
from zoobench.tasks.fine_tuning import specs_like
from zoobench.tasks.forms import WeightForm
from zoobench.tasks.reconstruction import last_checkpoints
from zoobench.tasks.retraining import trained_once
from zoobench.tasks.saving import WINDOW, Saving, ends

SPENT = "gigaflops"
"""What is handed in beside the weights: what the growth itself took."""

FUNCTION = ["activation", "init"]
"""Columns in which small models may differ: methods are asked about those that share them."""


@dataclass(frozen=True)
class Growth:
    """Grow each of the target's test models, at its last checkpoint, into a large one, which the task then trains.

    architecture, width: of the large network, None for the small one's, and twice its width if both are None; models:
    at most, evenly spread; epochs: of training, as the small model was trained, at a constant learning rate; points:
    how often test accuracy is measured, evenly over the steps, beside before. New models, from scratch, are trained
    beside them: on the same images in the same order. generators: whether methods that generate models of any size are
    asked too; drawn: how many they draw for each that is kept, the best by validation images.
    """

    architecture: str | None = None
    width: float | None = None
    models: int = 8
    epochs: int = 10
    points: int = 40
    generators: bool = False
    drawn: int = 5

    name: ClassVar[str] = "growth"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "Grow small models into large ones, and train these: what it saves beside new ones"
    paper: ClassVar[str] = "arXiv 2303.00980"
    primary: ClassVar[str] = "saved"
    access: ClassVar[Access] = Access.LABELS
    uses_sources: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if min(self.models, self.epochs, self.drawn) < 1 or self.points < 4:
            raise InputError(
                f"growth was given {self.models} models, {self.epochs} epochs, {self.points} points and {self.drawn} "
                "drawn models for each; take 1 or more, and 4 points or more"
            )

    @property
    def asks(self) -> type | UnionType:
        """Methods that grow, and generators if they are asked too."""
        return Grower | Samplable if self.generators else Grower

    def enlarged(self, target: Population) -> Target:
        """The large network. Raises `InputError` if the settings name the small one."""
        width = self.width
        if width is None and self.architecture is None:
            width = 2 * float(target.row["width"])
            if not get_architecture(str(target.row["architecture"])).has_width:
                raise InapplicableError(f"{target.name} has one width only; name an 'architecture' to grow it into")
        large = Target.enlarged(self.reads(target), self.architecture, width)
        if large.layout == target.layout:
            raise InputError(
                f"growth was asked to make {large.name} of {target.name}, which is no larger; set 'width' or "
                "'architecture' of the task"
            )
        return large

    def reads(self, target: Population) -> Population:
        """The last checkpoints of at most `models` test models."""
        return last_checkpoints(target.split("test"), self.models)

    def given(self, target: Population) -> Population:
        """The small models as methods see them."""
        return self.reads(target).known()

    def members(self, setting: Setting) -> list[list[str]]:
        """The name of each small model."""
        return [[str(name)] for name in self.reads(setting.target).names]

    def bases(self, setting: Setting) -> None:
        """None: small models have no base."""

    def form(self, setting: Setting) -> WeightForm:
        """One large model for each small one, in their order, and the operations that it took."""
        count = len(self.reads(setting.target))
        return WeightForm.made(range(count, count + 1), self.enlarged(setting.target).layout.size, {SPENT: 1})

    def ask(self, method: Grower | Samplable, setting: Setting) -> Weights:
        """Grow. The weights are those before training."""
        grown = self._each(setting.target, lambda small, large: self._ask(method, setting, small, large))
        spent = torch.cat([torch.as_tensor(each.gigaflops).float().expand(len(each)) for each in grown.parts])
        weights = torch.cat([each.weights for each in grown.parts])
        return Weights(weights[grown.order], beside={SPENT: spent[grown.order][:, None]})

    def _ask(self, method: Grower | Samplable, setting: Setting, small: Population, large: Target) -> Grown:
        if isinstance(method, Grower):
            return method.grow(small, large, setting.seed)
        known = [each.split("train").known() for each in setting.sources]
        return self._generated(method.sampler(large, None, known), setting, small, large)

    def _generated(self, generator: Generator, setting: Setting, small: Population, large: Target) -> Grown:
        """The best draws of a method that generates, around models of the large network if it was fitted to some."""
        fitting = [each for each in setting.sources if corresponding(each.tokenizer, large) is not None]
        anchors = small.select(np.zeros(len(small), dtype=bool))
        if fitting:
            anchors = choose_anchors(fitting[0].split("train"), self.models)
        how, meter = Draw(drawn=self.drawn * len(small), kept=len(small)), _Counting(generator)
        drawn = generate(meter, anchors, how, setting.seed, setting.images, target=large, device=setting.device)
        chosen = how.drawn * (how.selection_images + 100 * how.passes) * large.operations
        return Grown(drawn.weights, (meter.operations + chosen) / len(small) / 1e9)

    def judge(self, answer: Weights, setting: Setting) -> pd.DataFrame:
        """Train the models, and as many from scratch. One row for each model and point.

        Columns: model, the small one's id; step, of the optimizer, and images, seen until then; accuracy, on the test
        images, and scratch, of the model from scratch, 0 after one diverged; small, the small model's accuracy;
        per_image, 10⁹ operations of training the large network on an image; spent, on the growth, not less than 0, and
        on the small model's training, small_spent, both in 10⁹.
        """
        small, target = self.reads(setting.target), setting.target
        new = self._each(target, lambda some, large: large.new_models(len(some), setting.seed))
        large, scratch = self.enlarged(target), torch.cat(new.parts)[new.order]
        specs = self._specs(small, setting.seed)
        images = load_images(dataset_key(specs[0]), setting.images.data_root)
        seen, batch = len(images.train), specs[0].batch_size
        steps = math.ceil(seen / batch)
        wanted = sorted({round(each) for each in np.linspace(0, steps * self.epochs, self.points + 1)})
        if len(wanted) < WINDOW:
            raise InputError(
                f"growth trains for {wanted[-1]} step, and needs {WINDOW - 1} or more to find when an accuracy is "
                "reached; set more 'epochs', or take a zoo of more training images"
            )
        curves = [self._trained(each, large, specs, wanted, setting) for each in (answer.weights, scratch)]
        table, per_image = small.table, TRAINING * large.operations / 1e9
        test = setting.images.of(small.row, "test")
        before = correct(logits_of(small, test.images, setting.device), test.labels).double().mean(1).tolist()
        rows = []
        for place, (model, epoch) in enumerate(zip(table["model_id"].astype(str), table["epoch"], strict=True)):
            fixed = {"model": model, "small": before[place], "per_image": per_image}
            fixed["spent"] = max(0.0, float(answer.beside[SPENT][place, 0]))
            fixed["small_spent"] = TRAINING * Target.of(target).operations / 1e9 * seen * int(epoch)
            for step in wanted:
                shown = step // steps * seen + min(step % steps * batch, seen)
                mine, its = (curve[place].get(step, 0.0) for curve in curves)
                rows.append(fixed | {"step": step, "images": shown, "accuracy": mine, "scratch": its})
        return pd.DataFrame(rows)

    def score(self, observations: pd.DataFrame) -> dict[str, Estimate]:
        """`saved`: 1 minus the operations until the final accuracy from scratch is reached, by those from scratch, see
        `Saving`: the growth's own are included, and in `saved_in_all` those of training the small model too. `reached`:
        the share of models that reach it. Means over models of test accuracy: `at_start`, before training; `area`, the
        mean over training; `final`, and what to read them against: `small`, of the small models, and `scratch`, the
        final one from scratch.
        """
        table = observations
        first = table[table["step"] == 0]
        at = np.array(sorted(table["images"].unique()), dtype=float)
        between = np.append(at, at[-1])[1:] - np.insert(at, 0, at[0])[:-1]  # the trapezoidal rule
        share = table["images"].map(dict(zip(at, between, strict=True)))
        end = ends(table)
        return {
            "saved": Saving.curves("saved", table, table["spent"]),
            "saved_in_all": Saving.curves("saved", table, table["spent"] + table["small_spent"]),
            "reached": Saving.curves("reached", table, table["spent"]),
            "at_start": Estimate.mean(first["model"], first["accuracy"]),
            "area": Estimate.ratio(table["model"], table["accuracy"] * share, share),
            "final": Estimate.mean(end["model"], end["accuracy"]),
            "scratch": Estimate.mean(end["model"], end["scratch"]),
            "small": Estimate.mean(first["model"], first["small"]),
        }

    def work(self, checkpoints: int, train_images: int) -> Work:
        """Training a few networks of the large size, taken for three times the small one, and measuring them."""
        images = 3 * self.epochs * train_images + self.points * TEST_IMAGES
        return Work(self.models, 3.0 * self.models * images)

    def _each(self, target: Population, make: Callable[[Population, Target], Any]) -> _Parts:
        """What is made of the small models of each activation and initialization, and the order that joins them."""
        small = self.reads(target)
        large, found, places = self.enlarged(target), [], []
        for _, rows in small.table.groupby(FUNCTION, dropna=False, sort=False):
            some = rows.index.tolist()
            row = large.row.copy()
            for column in FUNCTION:
                row[column] = rows.iloc[0][column]
            found.append(make(small.taken(torch.tensor(some)), replace(large, row=row)))
            places += some
        return _Parts(found, torch.tensor(places).argsort())

    def _specs(self, small: Population, seed: int) -> list[ModelSpec]:
        """How each large model is trained."""
        specs, network = [], self.enlarged(small)
        for place, (_, row) in enumerate(small.table.iterrows()):
            large = row.copy()
            large["architecture"], large["width"] = network.row["architecture"], network.row["width"]
            specs.append(specs_like(large, len(small), (self.epochs,), seed)[place])
        if len({(spec.batch_size, dataset_key(spec)) for spec in specs}) > 1:
            raise InputError(
                "growth needs small models of one batch size and the same images, so that steps are comparable"
            )
        return specs

    def _trained(
        self, weights: Tensor, large: Target, specs: Sequence[ModelSpec], steps: Sequence[int], setting: Setting
    ) -> list[dict[int, float]]:
        """The test accuracy of each model by steps."""
        tied = with_ties(weights, large.layout, large.module()).cpu()
        root, device = setting.images.data_root, setting.device
        curves = trained_once(specs, tied, large.layout, root, device, _curve, steps)
        return [{point.step: point.test_accuracy for point in curve} for curve in curves]


@dataclass
class _Counting:
    """A generator, and the operations that it took so far."""

    generator: Generator
    operations: float = 0.0

    def generate(self, anchors: Population, count: int, seed: int) -> Tensor:
        made: list[Tensor] = []
        self.operations += counted(lambda: made.append(self.generator.generate(anchors, count, seed)))
        return made[0]


@dataclass(frozen=True, eq=False)
class _Parts:
    """What was made of parts of the small models; order: of all rows one after another, to that of the models."""

    parts: list[Any]
    order: Tensor


def _curve(model: TrainedModel) -> tuple[Point, ...]:
    return model.curve


GROWTH = Growth()
