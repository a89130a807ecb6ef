"""REPAIR: give the units of merged models the mean and the deviation that those of the members have."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_generation.errors import InputError
from zoo_generation.networks.capture import Moments
from zoo_generation.networks.program import norms_of
from zoobench.methods.merging.members import GroupMerger, Members, models_at_once, running
from zoobench.methods.registry import get_method
from zoobench.populations import Population

LEAST = 1e-6  # of a unit's deviation in the members: a merged unit that varies less is not rescaled


@dataclass(frozen=True)
class Repair(GroupMerger):
    """Another method's merged models, repaired: see `repaired`.

    of: the method; images: on which statistics are taken, of each member's. It wraps a method, because it may need more
    data than the method that it repairs, and each declares its own access.
    """

    of: str = "matched_average"
    images: int = 1000

    @property
    def merger(self) -> GroupMerger:
        """The method that is repaired. Raises `InputError` if it does not merge in two steps, or is this one."""
        method = get_method(self.of)
        merger = method.config(None)
        merger = method.kind() if merger is None else merger
        if not isinstance(merger, GroupMerger) or isinstance(merger, Repair):
            raise InputError(f"'{self.of}' was given to be repaired; name a method that merges, such as 'average'")
        return merger

    def align(self, members: Members) -> Members:
        return self.merger.align(members)

    def combine(self, members: Members, seed: int) -> Tensor:
        merged = self.merger.combine(members, seed).float()
        for chosen, data in members.by_images():
            merged[chosen] = repaired(merged[chosen], members.groups(chosen), data, self.images)
        return merged


def repaired(merged: Tensor, members: Members, data: list[Population], images: int) -> Tensor:
    """Merged models [groups, D] whose hidden units have the mean members' mean and deviation before the activation.

    Each layer that has a bias, but the last layer, is rescaled and shifted after those before it, on the images of all
    members together: the first `images` of each model of `data`. Networks with BatchNorm stay as they are: measuring
    its statistics again, which every merged model gets, does the same. Source: Jordan et al., arXiv 2211.08403.
    """
    layout = members.layout
    if norms_of(members.module()):
        return merged
    wanted = _statistics(members.weights.flatten(0, 1), data, images)
    changed = merged.clone()
    for name in wanted:
        weight, bias = layout[f"{name}.weight"].span, layout[f"{name}.bias"].span
        mean, deviation = (each.unflatten(0, (-1, members.size)).mean(1) for each in wanted[name])
        found_mean, found_deviation = _statistics(changed, data, images, [name])[name]
        factor = torch.where(found_deviation > LEAST * deviation, deviation / found_deviation, 1.0)
        rows = changed[:, weight].unflatten(1, (factor.shape[1], -1)) * factor[:, :, None]
        changed[:, weight] = rows.flatten(1).float()
        changed[:, bias] = ((changed[:, bias] - found_mean) * factor + mean).float()
    return changed


def _statistics(
    weights: Tensor, data: list[Population], images: int, layers: Collection[str] | None = None
) -> dict[str, tuple[Tensor, Tensor]]:
    """Mean and deviation [models, units] of the outputs of hidden layers with a bias, in the order in which they run.

    weights: [models, D]; they are taken over the images of all of `data` together.
    """
    layout, found = data[0].layout, []
    for some in weights.split(models_at_once(layout)):
        moments = mean_of([running(model, some).evidence.moments(images, layers) for model in data])
        state = layout.unflatten(some)
        hidden = list(moments.counts) if layers else list(moments.counts)[:-1]
        names = [name for name in hidden if f"{name}.bias" in layout and f"{name}.weight" in layout]
        found.append({name: moments.outputs(name, state[f"{name}.weight"], state[f"{name}.bias"]) for name in names})
    return {
        name: (torch.cat([part[name][0] for part in found]), torch.cat([part[name][1] for part in found]))
        for name in found[0]
    }


def mean_of(moments: list[Moments]) -> Moments:
    """Moments over several sets of images, each of which counts the same."""
    first = moments[0]
    grams = {name: torch.stack([each.grams[name] for each in moments]).mean(0) for name in first.counts}
    means = {name: torch.stack([each.means[name] for each in moments]).mean(0) for name in first.counts}
    return Moments(grams, means, first.counts)
