"""Merge groups of trained models into one model each, and judge what it knows of all that they know.

Sources: Jin et al., RegMean, arXiv 2212.09849, section 4 (models of different parts of the data, beside the best single
model, ensembles and joint training); Ainsworth et al., Git Re-Basin, arXiv 2209.04836 (models of other initializations,
and the barrier between them).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, get_args

import pandas as pd
import torch
from torch import Tensor, nn

from zoo_generation.data.images import Images
from zoo_generation.data.part import DataPart
from zoo_generation.errors import InputError
from zoo_generation.networks.accuracy import accuracies_among, condition_batch_norm, evaluate
from zoo_generation.networks.module import runnable_module
from zoo_generation.networks.program import with_ties
from zoo_generation.networks.symmetry import match_closest
from zoobench.methods.protocols import Merger
from zoobench.populations import Access, Population
from zoobench.populations.logits import logits_of
from zoobench.populations.symmetries import groups_of
from zoobench.tasks.answers import Weights
from zoobench.tasks.base import TEST_IMAGES, Setting, Work
from zoobench.tasks.estimates import Estimate
from zoobench.tasks.forms import WeightForm
from zoobench.tasks.groups import Differ, Groups, draw_groups, with_trunks

WAY = (0.2, 0.4, 0.6, 0.8, 1.0)
"""Shares of the way from a model to the merged one where losses are measured: both ways of a pair have 11 points."""

SHARE = 0.15
"""Of a zoo's models that are test models."""


@dataclass(frozen=True)
class Merging:
    """One model of each group of the target's last checkpoints.

    differ: how the models of a group differ, see `groups.Differ`; size: models per group; after: they were forked from
    a trunk after so many epochs, 0 being its initialization, None: they were not forked; split: of the models, `val` to
    choose between methods; seed: of dealing the models out to groups, each to one. barrier_images: test images, evenly
    spaced, on which losses between models are measured; passes: batches of training images that set the merged models'
    BatchNorm statistics.
    """

    differ: Differ = "inits"
    size: int = 2
    after: int | None = None
    split: str = "test"
    seed: int = 0
    barrier_images: int = 2000
    passes: int = 3

    name: ClassVar[str] = "merging"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "Merge several models into one: what it knows of all that they know"
    paper: ClassVar[str] = "arXiv 2212.09849"
    primary: ClassVar[str] = "accuracy"
    asks: ClassVar = Merger
    access: ClassVar[Access] = Access.LABELS
    uses_sources: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.size < 2:
            raise InputError(f"merging was given groups of {self.size} models; take 2 or more")
        if self.differ not in get_args(Differ):
            raise InputError(
                f"merging was given models that differ in '{self.differ}'; take one of {', '.join(get_args(Differ))}"
            )
        if self.seed < 0 or self.barrier_images < 1 or self.passes < 1:
            raise InputError(
                f"merging was given the seed {self.seed}, {self.barrier_images} barrier_images and {self.passes} "
                "passes; take a seed of 0 or more, and 1 or more of the others"
            )
        if self.split not in ("val", "test"):
            raise InputError(f"merging was given models of the split '{self.split}'; take 'test', or 'val' to tune")

    def groups(self, target: Population) -> Groups:
        """The groups to merge."""
        return draw_groups(target, self.split, self.differ, self.size, self.after, self.seed)

    def form(self, setting: Setting) -> WeightForm:
        """One model per group."""
        count = len(self.groups(setting.target).rows)
        return WeightForm.made(range(count, count + 1), setting.target.layout.size)

    def ask(self, method: Merger, setting: Setting) -> Weights:
        """Merge. Methods see the models as `Population.as_anchors` leaves them, and what they have in common."""
        target, groups = setting.target, self.groups(setting.target)
        shown = groups.alone  # without the models that were trained on all images, to judge by
        merged = method.merge(shown.models.as_anchors(), shown.rows, groups.bases(target), setting.seed)
        if merged.shape != (len(groups.rows), target.layout.size):
            raise InputError(
                f"the method gave weights of shape {list(merged.shape)} for {len(groups.rows)} groups; give "
                f"[{len(groups.rows)}, {target.layout.size}]"
            )
        conditioned = torch.empty_like(merged)
        for chosen, some in groups.by_activation():
            module, training = _module(some), setting.images.of(some.models.row, "train")
            tied = with_ties(merged[chosen].to(setting.device), target.layout, module)
            made = condition_batch_norm(tied, target.layout, module, training, self.passes, device=setting.device)
            conditioned[chosen] = made.cpu()
        return Weights(conditioned)

    def members(self, setting: Setting) -> list[list[str]]:
        """The names of the models of each group."""
        groups = self.groups(setting.target)
        names = groups.models.names
        return [[str(names[row]) for row in group] for group in groups.rows.tolist()]

    def bases(self, setting: Setting) -> Tensor | None:
        """The weights [groups, D] that the models of each group were trained from; None if they are not known."""
        return self.groups(setting.target).bases(setting.target)

    def given(self, target: Population) -> Population:
        """The models of all groups, with their validation accuracies and parts."""
        return self.groups(target).alone.models.as_anchors()

    def reads(self, target: Population) -> Population:
        """The last checkpoints of the models that may be drawn, of those on all images beside them, and the weights
        that they were forked from."""
        return with_trunks(target, self.split, self.after)

    def judge(self, answer: Weights, setting: Setting) -> pd.DataFrame:
        """One row per group.

        Columns: model, the group's, see `Groups.names`; of the merged model: accuracy and loss (nats) on all test
        images; part_accuracy, the mean over its models' parts of accuracy among the classes of the part; barrier, see
        `barrier`. Of what to read them against, accuracies on all test images: single, the models' mean; best_single,
        that of the best by validation images; ensembles, by the mean of logits and of probabilities; joint, of models
        trained on all images, NaN if there are none; and single_parts, of each model among the classes of its part.
        """
        groups = self.groups(setting.target)
        parts = []
        for chosen, some in groups.by_activation():
            of_merged = self._of_merged(answer.weights[chosen], some, setting)
            parts.append(pd.DataFrame({**of_merged, **_references(some, setting)}, index=chosen.numpy()))
        table = pd.concat(parts).sort_index()
        table.insert(0, "model", groups.names)
        return table

    def _of_merged(self, merged: Tensor, groups: Groups, setting: Setting) -> dict[str, Tensor]:
        """Columns [groups] about merged models [groups, D]."""
        layout, module, device = groups.models.layout, _module(groups), setting.device
        test, parts = setting.images.of(groups.models.row, "test"), _parts(groups)
        loss, accuracy = evaluate(merged, layout, module, test, device)
        among = {tuple(range(int(groups.models.row["classes"]))): accuracy}  # of parts with all classes
        for part in {part for group in parts for part in group} - among.keys():
            among[part] = accuracies_among(merged, layout, module, test, part, device)
        of_parts = [torch.stack([among[part][row] for part in group]).mean() for row, group in enumerate(parts)]
        barriers = self._barriers(merged, groups, test, setting)
        return {"accuracy": accuracy, "loss": loss, "part_accuracy": torch.stack(of_parts), "barrier": barriers}

    def _barriers(self, merged: Tensor, groups: Groups, test: Images, setting: Setting) -> Tensor:
        """The barrier [groups] on the ways from the models of each group to the merged one.

        Each model's units are matched to the merged one's, which changes no function. At the merged model one would
        expect the mean of the models' own losses, and on the way there the mean by the share of the way: the barrier is
        the largest loss beyond that. For the mean of a pair in correspondence, it is that of the line between the two.
        """
        layout, module, device = groups.models.layout, _module(groups), setting.device
        few = torch.linspace(0, len(test.labels) - 1, min(self.barrier_images, len(test.labels))).long()
        some = Images(test.images[few], test.labels[few])
        size, members = groups.rows.shape[1], groups.models.weights[groups.rows].flatten(0, 1)
        ends = merged.repeat_interleave(size, 0)
        bounded = ends.square().sum(1, keepdim=True).isfinite()  # what is submitted may be anything
        starts = match_closest(members, torch.where(bounded, ends, members), layout, groups_of(groups.models))
        between = torch.stack([starts.lerp(ends, share) for share in WAY], dim=1).flatten(0, 1)
        training = setting.images.of(groups.models.row, "train")
        between = condition_batch_norm(between, layout, module, training, self.passes, device=device)
        losses = evaluate(between, layout, module, some, device)[0].view(-1, size, len(WAY))
        own = evaluate(groups.models.weights, layout, module, some, device)[0][groups.rows]
        others = (own.sum(1, keepdim=True) - own) / (size - 1)
        expected = torch.stack([own.lerp(others, share / 2) for share in WAY], dim=2)
        return (losses - expected).flatten(1).amax(1).clamp(min=0)

    def score(self, observations: pd.DataFrame) -> dict[str, Estimate]:
        """Means over groups of the columns, and the merged models' accuracy relative to that of the best single one,
        and to joint training."""
        models, accuracy = observations["model"], observations["accuracy"]
        joint = observations["joint"].notna().all()
        against = ("best_single", "joint") if joint else ("best_single",)
        columns = [name for name in observations if name != "model" and (joint or name != "joint")]
        scores = {str(name): Estimate.mean(models, observations[name]) for name in columns}
        return scores | {f"to_{name}": Estimate.ratio(models, accuracy, observations[name]) for name in against}

    def work(self, checkpoints: int, train_images: int) -> Work:
        """Every model once on all test images, every merged one twice, and the ways between on fewer."""
        models = checkpoints * SHARE
        merged = models / self.size
        images = (models + 2 * merged) * TEST_IMAGES + models * len(WAY) * self.barrier_images
        return Work(models=merged, images=images)


def _references(groups: Groups, setting: Setting) -> dict[str, Tensor]:
    """Columns [groups] about what merged models are to be read against."""
    test, val = (setting.images.of(groups.models.row, split) for split in ("test", "val"))
    answers, chosen = (logits_of(groups.models, each.images, setting.device) for each in (test, val))
    right = (answers.argmax(2) == test.labels).double().mean(1)
    best = (chosen.argmax(2) == val.labels).double().mean(1)[groups.rows].argmax(1, keepdim=True)
    own = [
        torch.tensor([_among(answers[row], test.labels, part) for row, part in zip(rows, parts, strict=True)]).mean()
        for rows, parts in zip(groups.rows.tolist(), _parts(groups), strict=True)
    ]
    joint = [right[rows].mean() if rows else torch.tensor(torch.nan).double() for rows in groups.joint()]
    return {
        "single": right[groups.rows].mean(1),
        "best_single": right[groups.rows].gather(1, best)[:, 0],
        "single_parts": torch.stack(own),
        "ensemble_logits": _together(answers, test.labels, groups.rows),
        "ensemble_probabilities": _together(answers.softmax(2), test.labels, groups.rows),
        "joint": torch.stack(joint),
    }


def _together(answers: Tensor, labels: Tensor, rows: Tensor) -> Tensor:
    """Accuracy [groups] of the mean of the models' answers [models, images, classes]."""
    return torch.stack([(answers[group].mean(0).argmax(1) == labels).double().mean() for group in rows])


def _among(answers: Tensor, labels: Tensor, classes: tuple[int, ...]) -> float:
    """Accuracy of answers [images, classes] on images of these classes, the others left out."""
    kept = torch.tensor(classes)
    shown = torch.isin(labels, kept)
    return float((kept[answers[shown][:, kept].argmax(1)] == labels[shown]).double().mean())


def _parts(groups: Groups) -> list[list[tuple[int, ...]]]:
    """The classes of the images that each model was trained on, by group and model."""
    classes = int(groups.models.row["classes"])
    return [
        [tuple(range(classes)) if part is None else DataPart.read(part).classes(classes) for part in group]
        for group in groups.of("data_part")
    ]


def _module(groups: Groups) -> nn.Module:
    return runnable_module(groups.models.row)


MERGING = Merging()
