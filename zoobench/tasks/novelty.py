"""How new generated models are: distances to the models that a method may know, and overlap of mistakes with theirs.

A distance is the L2 norm of the difference of all learnable weights (not BatchNorm's running statistics) of two models,
one matched to the other (Ainsworth et al., Git Re-Basin, arXiv 2209.04836), the scales of their units balanced, the
classifier without what it adds to all classes alike. So a copy has distance 0, whatever the order, signs and scales of
its units. The unit is the zoo's own: the median distance of a known checkpoint to the nearest other one, which is
mostly another epoch of the same model.

Sources: Zeng et al., arXiv 2506.07998 (distances to the nearest training model, beside those between training models);
Wang et al., Neural Network Diffusion, arXiv 2402.13144 (overlap of wrong predictions).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import pandas as pd
import torch
from torch import Tensor

from zoo_generation.data.images import Images
from zoo_generation.errors import InputError
from zoo_generation.networks.accuracy import mistakes
from zoo_generation.networks.architectures import Layout
from zoo_generation.networks.symmetry import Group, balance_scales, fingerprint, learnable_distance, match_closest
from zoobench.populations import Population
from zoobench.populations.symmetries import groups_of, reference_of
from zoobench.populations.target import Target, classifier_of

NEAREST = 8
"""How many known checkpoints a model is matched to, by each of two guesses at which are the nearest: fingerprints,
which find copies with little noise, and one matching of all models to the same one, which finds the others."""

ELEMENTS = 2**25  # of weights of pairs in memory at once
SAMPLED = 250  # known checkpoints of which the unit is the median, evenly spaced
FEWEST = 5  # mistakes by which a model is known as another one
KEPT = 4  # populations whose known models stay in memory

_made: dict[str, KnownModels] = {}


@dataclass(frozen=True, eq=False)
class KnownModels:
    """The checkpoints that a method may know, for measuring how new others are.

    classifier: the name of the last linear layer; weights: [checkpoints, D], see `_canonical`; prints: their
    fingerprints [checkpoints, F]; placed: the weights, all matched to the same one; models: which model each is of
    [checkpoints] int64; best: the rows of the best checkpoint of each model; wrong: which images these classify wrongly
    [models, images]; unit: of distances.
    """

    layout: Layout
    groups: tuple[Group, ...]
    classifier: str
    weights: Tensor
    prints: Tensor
    reference: Tensor
    placed: Tensor
    models: Tensor
    best: Tensor
    wrong: Tensor
    unit: float = 1.0

    @classmethod
    def of(cls, known: Population, images: Images, device: str = "cpu") -> KnownModels:
        """Of checkpoints that share an activation. images: those on which mistakes are compared.

        What was made for the same checkpoints and images before is given again.
        """
        target = Target.of(known)
        digest = hashlib.sha256(known.weights.contiguous().numpy().tobytes())
        digest.update(images.labels.numpy().tobytes())
        digest.update(repr((target.name, target.row["activation"], tuple(images.images.shape))).encode())
        key = digest.hexdigest()
        if key not in _made:
            while len(_made) >= KEPT:
                del _made[next(iter(_made))]
            _made[key] = cls._new(known, target, images, device)
        return _made[key]

    @classmethod
    def _new(cls, known: Population, target: Target, images: Images, device: str) -> KnownModels:
        layout, groups, table = known.layout, groups_of(known), known.table.reset_index(drop=True)
        classifier = _classifier(target)
        weights = _canonical(known.weights, layout, groups, classifier)
        reference = _canonical(reference_of(known)[None], layout, groups, classifier)[0]
        accuracy = table["val_accuracy"].astype(float).fillna(-1.0)
        best = torch.tensor(accuracy.groupby(table["model_id"], sort=False).idxmax().tolist())
        made = cls(
            layout,
            groups,
            classifier,
            weights,
            fingerprint(weights, layout, groups),
            reference,
            match_closest(weights, reference, layout, groups),
            torch.tensor(pd.factorize(table["model_id"])[0].tolist()),
            best,
            mistakes(known.weights[best], layout, target.module(), images, device),
        )
        rows = torch.linspace(0, len(weights) - 1, min(SAMPLED, len(weights))).round().long()
        others = torch.ones(len(rows), len(weights), dtype=torch.bool).scatter_(1, rows[:, None], False)
        nearest = made._nearest(made.weights[rows], made.prints[rows], made.placed[rows], others)
        return replace(made, unit=float(nearest.median()))

    def distances(self, weights: Tensor) -> Tensor:
        """Distance [models] float64 of each of the models [models, D] to the nearest of these, in their unit.

        Copies have distance 0, and noise of a tenth of their weights is measured as well. Otherwise it is an upper
        bound, because matching is: by a few per cent. Infinite for a model that is not finite.
        """
        finite = weights.isfinite().all(1)
        given = torch.where(finite[:, None], weights, 0.0)
        balanced = _canonical(given, self.layout, self.groups, self.classifier)
        placed = match_closest(balanced, self.reference, self.layout, self.groups)
        prints = fingerprint(balanced, self.layout, self.groups)
        every = torch.ones(len(weights), len(self.weights), dtype=torch.bool)
        return torch.where(finite, self._nearest(balanced, prints, placed, every) / self.unit, torch.inf)

    def novelty(self, weights: Tensor, wrong: Tensor) -> Tensor:
        """Distance [models] float64 as of `distances`, but 0 for a model that makes exactly the mistakes of a known
        one at its best, five or more: it is this one, whatever its weights look like.

        wrong: which images the models classify wrongly [models, images]. Other scales of logits, and weights of units
        that are never active, change no prediction.
        """
        same = (self.overlaps(wrong) == 1) & (wrong.sum(1) >= FEWEST)
        return torch.where(same, 0.0, self.distances(weights))

    def between(self, weights: Tensor) -> Tensor:
        """Mean distance [models] float64 of each of the models [models, D] to the others; NaN if there are none."""
        count = len(weights)
        balanced = _canonical(weights, self.layout, self.groups, self.classifier)
        one, other = torch.triu_indices(count, count, 1)
        apart = torch.zeros(count, count, dtype=torch.float64)
        apart[one, other] = self._apart(balanced, balanced, other, one)
        return (apart + apart.T).sum(1) / (count - 1) / self.unit

    def overlaps(self, wrong: Tensor) -> Tensor:
        """The overlap [models] float64 of mistakes [models, images] with those of the known model that is most alike.

        The overlap of two models is the number of images that both classify wrongly, as a share of those that one of
        them does; 1 if neither does.
        """
        return _overlap(wrong, self.wrong).amax(1)

    @cached_property
    def independent(self) -> float:
        """The median distance of a known model, at its best, to the nearest checkpoint of another one; NaN if there is
        no other."""
        others = self.models[self.best][:, None] != self.models
        if not bool(others.any()):
            return float("nan")
        rows = self.best
        return (
            float(self._nearest(self.weights[rows], self.prints[rows], self.placed[rows], others).median()) / self.unit
        )

    @cached_property
    def independent_overlap(self) -> float:
        """The median overlap of a known model's mistakes with those of the other that is most alike; NaN if there is
        no other."""
        overlap = _overlap(self.wrong, self.wrong).fill_diagonal_(-1.0)
        return float(overlap.amax(1).median()) if len(overlap) > 1 else float("nan")

    def _nearest(self, weights: Tensor, prints: Tensor, placed: Tensor, among: Tensor) -> Tensor:
        """Distance [models] of models to the nearest of the known checkpoints `among` [models, checkpoints]; infinite
        if there are none."""
        guesses = []
        for ours, theirs in ((prints, self.prints), (placed, self.placed)):
            apart = torch.cdist(ours, theirs, compute_mode="donot_use_mm_for_euclid_dist")  # exact for copies
            guesses.append(apart.masked_fill(~among, torch.inf).topk(min(NEAREST, len(self.weights)), largest=False))
        theirs = torch.cat([guess.indices for guess in guesses], dim=1)
        ours = torch.arange(len(weights))[:, None].expand_as(theirs)
        apart = self._apart(weights, self.weights, ours.flatten(), theirs.flatten()).view_as(theirs)
        return apart.masked_fill(~among.gather(1, theirs), torch.inf).amin(1)

    def _apart(self, weights: Tensor, others: Tensor, ours: Tensor, theirs: Tensor) -> Tensor:
        """Distance [pairs] float64 of the models in the rows `ours` [pairs], matched to those in the rows `theirs`."""
        found = [torch.zeros(0, dtype=torch.float64)]
        at_once = max(1, ELEMENTS // max(1, self.layout.size))
        for one, other in zip(ours.split(at_once), theirs.split(at_once), strict=True) if len(ours) else ():
            towards = others[other]
            matched = match_closest(weights[one], towards, self.layout, self.groups)
            found.append(learnable_distance(matched, towards, self.layout))
        return torch.cat(found)


def _classifier(target: Target) -> str:
    """The name of the last linear layer, empty if there is none."""
    try:
        return classifier_of(target.module())
    except InputError:
        return ""


def _canonical(weights: Tensor, layout: Layout, groups: Sequence[Group], classifier: str) -> Tensor:
    """The models [models, D] with balanced scales, and a classifier whose mean over classes is zero: what all classes
    share changes no probability."""
    centred = weights.clone()
    for entry in layout:
        if classifier and entry.name.rpartition(".")[0] == classifier:
            rows = centred[:, entry.span].view(len(weights), entry.shape[0], -1)
            centred[:, entry.span] = (rows - rows.mean(1, keepdim=True)).flatten(1)
    return balance_scales(centred, layout, groups)


def _overlap(wrong: Tensor, others: Tensor) -> Tensor:
    """The overlap [models, others] float64 of mistakes [models, images] with those of others [others, images]."""
    ours, theirs = wrong.double(), others.double()
    both = ours @ theirs.T
    either = ours.sum(1, keepdim=True) + theirs.sum(1) - both
    return torch.where(either > 0, both / either, 1.0)
