"""Networks of logits that are learned beside some trained models, and plugged into others that were not seen.

Source: Lu et al., Transferable post-training via inverse value learning, arXiv 2410.21027: logits of a base and of a
value network are added, and networks that were learned beside one base are used on others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo_generation.data.altered import MARK
from zoo_generation.data.images import Images
from zoo_generation.data.part import DataPart
from zoo_generation.data.registry import find_dataset
from zoo_generation.errors import InputError
from zoo_generation.networks.accuracy import correct
from zoobench.methods.protocols import InapplicableError, ValueLearner
from zoobench.populations import Access, Population
from zoobench.populations.logits import logits_of
from zoobench.populations.planes import alone, layout_like, seeing, with_planes
from zoobench.tasks.answers import Weights
from zoobench.tasks.base import TEST_IMAGES, Setting, Work
from zoobench.tasks.estimates import Estimate
from zoobench.tasks.forms import WeightForm
from zoobench.tasks.partners import SAME, partners_of, shared
from zoobench.tasks.reconstruction import last_checkpoints
from zoobench.tasks.retraining import retrained

WHOLE = "whole"
"""What follows is the dataset whose part the bases were trained on."""

ALIKE = (*SAME, "data_part")
"""Columns that all bases of a setting share."""

SUBTRACTED = "subtracted"
KINDS = ("own", "unseen", "other")
"""Of bases that a network is judged on: its own; models of the same zoo, and those of other targets, that no method
sees in this setting."""

FLOORS = ("base", "alone", "scratch")
"""What a sum is to be better than: see `Value.judge`."""

PAIR = ["network", "base_model"]


@dataclass(frozen=True, eq=False)
class PluggedNetworks:
    """Networks of an answer, in the order of their bases.

    added: networks that see planes; plain: those of them that read no plane, as networks that see the image alone;
    subtracted: networks that see the image alone; unread: which networks read no plane [networks].
    """

    added: Population
    plain: Population
    subtracted: Population
    unread: Tensor

    @classmethod
    def of(cls, answer: Weights, bases: Population) -> PluggedNetworks:
        plain, unread = alone(answer.weights, bases.row)
        subtracted = bases.with_weights(answer.beside[SUBTRACTED])
        return cls(seeing(bases, answer.weights), bases.with_weights(plain), subtracted, unread)

    def answers(self, images: Tensor, known: Tensor, which: Tensor, device: str) -> Tensor:
        """What some of the networks add to a base's logits, float64 [some, images, classes].

        images: as the networks' bases see them, [images, channels, size, size]; known: the base's logits [images,
        classes]; which: [networks] bool.
        """
        found = torch.zeros(len(which), *known.shape, dtype=torch.float64)
        reads, takes = ~self.unread & which, (self.subtracted.weights != 0).any(1) & which
        if bool((some := self.unread & which).any()):
            found[some] += logits_of(self.plain.select(some.numpy()), images, device)
        if bool(reads.any()):
            found[reads] += logits_of(self.added.select(reads.numpy()), with_planes(images, known), device)
        if bool(takes.any()):
            found[takes] -= logits_of(self.subtracted.select(takes.numpy()), images, device)
        return found[which]


@dataclass(frozen=True)
class Value:
    """Learn for each of some trained models, the bases, a network whose logits are added to its own, on images that it
    was not trained on, and plug the network into other models: half of the target's test models, at their last
    checkpoints, are shown, and the other half is not.

    onto: the images to learn: an alteration of the bases' own, such as `+inverted` (see `data.altered`), another
    dataset of as many classes, or `whole`: all classes, if the bases were trained on a part of them. models: how many
    bases are shown at most, and as many others are not. train_images: how many of the images there are to train on,
    None for as many as the bases had. epochs: for which the judge trains bases, and fresh networks, to read the
    networks against. test_images: on which they are judged at most, evenly spaced.
    """

    onto: str = "+inverted"
    models: int = 8
    train_images: int | None = None
    epochs: int = 10
    test_images: int = 2000

    name: ClassVar[str] = "value"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "Learn logits to add to trained models, and add them to others: what is carried over"
    paper: ClassVar[str] = "arXiv 2410.21027"
    primary: ClassVar[str] = "gain_unseen"
    asks: ClassVar = ValueLearner
    access: ClassVar[Access] = Access.LABELS
    uses_sources: ClassVar[bool] = False

    def __post_init__(self) -> None:
        few = self.train_images is not None and self.train_images < 1
        if few or self.models < 1 or self.epochs < 1 or self.test_images < 1:
            raise InputError(
                f"value was given {self.models} models, {self.epochs} epochs, {self.train_images} train_images and "
                f"{self.test_images} test_images; take 1 or more of each"
            )

    def partners(self, setting: Setting) -> list[Population]:
        """The other targets whose bases were trained on the same images, if they have any that are not shown."""
        found = partners_of(setting, ALIKE)
        return [each for each in found if each.split("test").table["model_id"].nunique() > 1]

    def members(self, setting: Setting) -> list[list[str]]:
        """The name of the base of each network."""
        return [[name] for name in self._bases(setting.target)[0].names.tolist()]

    def given(self, target: Population) -> Population:
        """The bases that are shown, as models for the images to learn."""
        return self._onto(self._bases(target)[0]).known()

    def bases(self, setting: Setting) -> None:
        """None: what the bases were trained from is not told."""

    def reads(self, target: Population) -> Population:
        """The last checkpoints of test models, by their ids, so that it does not matter which others are there."""
        read = last_checkpoints(target.split("test"), len(target))
        ids = read.table["model_id"].astype(str)
        return read.select(ids.isin(sorted(ids)[: 2 * self.models]))

    def form(self, setting: Setting) -> WeightForm:
        """One network for each base that is shown, and one to subtract."""
        shown, row = len(self._bases(setting.target)[0]), setting.target.row
        subtracted = {SUBTRACTED: layout_like(row, planes=False).size}
        return WeightForm.of_networks(range(shown, shown + 1), layout_like(row), subtracted)

    def ask(self, method: ValueLearner, setting: Setting) -> Weights:
        """Learn."""
        shown = self.given(setting.target)
        found = method.learn(shown, setting.seed)
        subtracted = torch.zeros_like(shown.weights) if found.subtracted is None else found.subtracted
        return Weights(found.added, beside={SUBTRACTED: subtracted})

    def judge(self, answer: Weights, setting: Setting) -> pd.DataFrame:
        """One row for each network and each base that it is plugged into.

        Columns: model and network, the id of the network's own base; base_model, that of the base; kind, of the base,
        see `KINDS`. Of test images of what was learned, all, `images`, and those that are right: sum, by both logits;
        base, by the base's alone; alone, by the network's, beside a base that knows nothing, all of whose logits are 0;
        scratch, by a fresh network like it that the judge trains; tuned, by the base, when the judge trains it as a
        whole. And the first three, such as former_images, of test images of what the base was trained on.
        """
        shown, unseen = self._bases(setting.target)
        networks, ids = PluggedNetworks.of(answer, shown), _ids(shown)
        others = (self._bases(each)[1] for each in self.partners(setting))
        judged = [("own", shown), ("unseen", unseen), *(("other", each) for each in others)]
        device, here = setting.device, self._onto(shown)
        test, every = self._test(here.row, here.row, setting), torch.ones(len(shown), dtype=torch.bool)
        nothing = torch.zeros(len(test.labels), int(here.row["classes"]))
        own = _right(networks.answers(test.images, nothing, every, device), test.labels)
        of_network = pd.DataFrame({"network": ids, "alone": own, "scratch": self._trained(here, setting, fresh=True)})
        parts = []
        for kind, bases in judged:
            there = self._onto(bases)
            plugged = self._plugged(networks, here.row, there, kind, setting)
            former = self._plugged(networks, shown.row, bases, kind, setting).add_prefix("former_")
            tuned = self._trained(there, setting, fresh=False)
            of_base = pd.DataFrame({"place": range(len(bases)), "tuned": tuned})
            rows = pd.concat([plugged, former], axis=1).merge(of_base, on="place")
            base_model = _ids(bases)[rows["place"]]
            rows = rows.assign(network=ids[rows["number"]], base_model=base_model, kind=kind)
            parts.append(rows.merge(of_network, on="network"))
        table = pd.concat(parts, ignore_index=True).drop(columns=["number", "place", "former_number", "former_place"])
        return table.assign(model=table["network"])

    def _plugged(
        self, networks: PluggedNetworks, row: pd.Series, bases: Population, kind: str, setting: Setting
    ) -> pd.DataFrame:
        """Counts of test images of the bases' rows, one row for each network, its number, and base, its place.

        row: of the networks' own bases, which says how these see the same images.
        """
        device = setting.device
        seen, test = self._test(row, bases.row, setting), self._test(bases.row, bases.row, setting)
        labels = test.labels
        rows = []
        for place, known in enumerate(logits_of(bases, test.images, device)):
            which = torch.ones(len(networks.unread), dtype=torch.bool)
            if kind == "own":
                which = torch.arange(len(which)) == place
            sums = known + networks.answers(seen.images, known, which, device)
            right = zip(which.nonzero().flatten().tolist(), _right(sums, labels), strict=True)
            base = _right(known[None], labels)[0]
            rows += [(number, place, len(labels), base, count) for number, count in right]
        return pd.DataFrame(rows, columns=["number", "place", "images", "base", "sum"])

    def _trained(self, bases: Population, setting: Setting, *, fresh: bool) -> list[int]:
        """How many test images each of the bases has right when it is trained on its row's images, or a fresh one."""
        trained = retrained(bases, self.epochs, setting.images.data_root, setting.device, fresh=fresh)
        test = self._test(bases.row, bases.row, setting)
        return _right(logits_of(trained, test.images, setting.device), test.labels)

    def _test(self, row: pd.Series, base: pd.Series, setting: Setting) -> Images:
        """Test images as models of a row see them, of the classes that the row of a base has images of."""
        test = setting.images.of(row, "test")
        known = torch.isin(test.labels, torch.tensor(_classes_of(base))).nonzero().flatten()
        some = known[torch.linspace(0, len(known) - 1, min(self.test_images, len(known))).long()]
        return Images(test.images[some], test.labels[some])

    def score(self, observations: pd.DataFrame) -> dict[str, Estimate]:
        """By kind of base (`own`, `unseen`, `other`), as `gain_unseen`: `accuracy` of the sum; `gain`, that accuracy
        minus the highest of three on average, of the base alone, the network alone, and a fresh network that learned
        the same images: what exceeds these is neither the network's nor the base's; `recovered`, the gain over the base
        as a share of what the base gains when it is trained as a whole; `retention`, the share of its accuracy on its
        own former images that the sum keeps; `base` and `tuned`, accuracies of the base alone before and after. And
        `alone` and `scratch`, accuracies of the networks alone, and of fresh ones.

        Intervals are of models drawn again, as owners of networks and as bases alike, because pairs share them.
        """
        scores: dict[str, Estimate] = {}
        for kind, rows in observations.groupby("kind", sort=False):
            best = max(FLOORS, key=lambda name, rows=rows: float(rows[name].sum()))  # type: ignore[misc]
            over = rows["sum"] - rows["base"]
            ratios = {
                "gain": (rows["sum"] - rows[best], rows["images"]),
                "accuracy": (rows["sum"], rows["images"]),
                "recovered": (over, rows["tuned"] - rows["base"]),
                "retention": (rows["former_sum"], rows["former_base"]),
                "base": (rows["base"], rows["images"]),
                "tuned": (rows["tuned"], rows["images"]),
            }
            scores |= {f"{name}_{kind}": _ratio(rows, *ratio) for name, ratio in ratios.items()}
        own = observations[observations["kind"] == "own"]
        return scores | {name: _ratio(own, own[name], own["images"]) for name in ("alone", "scratch")}

    def work(self, checkpoints: int, train_images: int) -> Work:
        """Networks, bases and fresh networks that are trained (a backward pass counts as two forward ones), and the
        test images of both datasets for each network, three times as many bases as there are, and their own."""
        trained = 4 * self.models * 3 * self.epochs * train_images
        return Work(models=self.models, images=trained + 2 * self.models * (self.models + 4) * TEST_IMAGES)

    def _bases(self, target: Population) -> tuple[Population, Population]:
        """The bases that are shown, and those that are not, in turn by their ids.

        Raises `InapplicableError` if the target's models are none to learn these images beside, and `InputError` if
        there are fewer than two.
        """
        if shared(target, ALIKE) is None:
            raise InapplicableError(
                f"models of {target.name} were trained on different images, and no network can be learned beside them "
                "all; make a zoo of each"
            )
        self._dataset(target.row)
        read = self.reads(target)
        if len(read) < 2:
            raise InputError(f"{target.name} has one test model, and no other to plug networks into; take a larger zoo")
        order = torch.from_numpy(read.table["model_id"].astype(str).sort_values().index.to_numpy(copy=True))
        return read.ordered(order[::2]), read.ordered(order[1::2])

    def _onto(self, bases: Population) -> Population:
        """The bases as models for the images to learn."""
        cap = bases.row["train_images"] if self.train_images is None else self.train_images
        return bases.onto(self._dataset(bases.row), None if pd.isna(cap) else int(cap))

    def _dataset(self, row: pd.Series) -> str:
        """The name of the dataset to learn, for the row of a base. Raises `InapplicableError` if there is none."""
        plain, part, classes = str(row["dataset"]), row.get("data_part"), int(row["classes"])
        if self.onto == WHOLE and pd.isna(part):
            raise InapplicableError(f"models of {plain} were trained on all its images, so that none are left to learn")
        name = plain if self.onto == WHOLE else plain + self.onto if self.onto.startswith(MARK) else self.onto
        entry = find_dataset(name)
        if entry is None or entry.class_count != classes:
            has = "is not known" if entry is None else f"has {entry.class_count} classes"
            raise InapplicableError(f"the dataset '{name}' {has}, so models of {classes} classes cannot learn it")
        if name == plain and pd.isna(part):
            raise InapplicableError(f"models of {plain} know its images already; learn others beside them")
        return name


def _ids(population: Population) -> NDArray[np.str_]:
    return population.table["model_id"].to_numpy().astype(np.str_)


def _classes_of(row: pd.Series) -> tuple[int, ...]:
    """The classes of the images that a row's models were trained on."""
    part, classes = row.get("data_part"), int(row["classes"])
    return tuple(range(classes)) if pd.isna(part) else DataPart.read(part).classes(classes)


def _right(logits: Tensor, labels: Tensor) -> list[int]:
    """How many images each of some logits [some, images, classes] has right; none where they are not finite."""
    return correct(logits, labels).sum(1).tolist()


def _ratio(rows: pd.DataFrame, part: pd.Series, whole: pd.Series) -> Estimate:
    """Sum of parts by sum of wholes over pairs of models, or over models where each is paired with itself."""
    if (rows["network"] == rows["base_model"]).all():
        return Estimate.ratio(rows["network"], part, whole)
    return Estimate.pairs("pairs", rows[PAIR], part, whole)


VALUE = Value()
