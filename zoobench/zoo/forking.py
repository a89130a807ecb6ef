"""Children of a zoo's models: they are trained on from the weights of these."""

from __future__ import annotations

from collections.abc import Sequence

from zoo_generation.data.load import Datasets
from zoo_generation.networks.module import State
from zoo_generation.training.jobs import dataset_key
from zoo_generation.training.models import outputs_of
from zoo_generation.training.sink import TrainedModel
from zoo_generation.training.spec import ModelSpec
from zoobench.zoo.store import Zoo


class Trunks:
    """The checkpoints of a zoo, for the children that start from them.

    Raises `InputError` if the zoo is damaged.
    """

    def __init__(self, zoo: Zoo) -> None:
        self._zoo = zoo
        self._checkpoints = zoo.checkpoints.set_index(["model_id", "epoch"], drop=False)

    def reached(self, child: ModelSpec) -> bool:
        """Whether the child's parent has the checkpoint that it starts from: it has none if it diverged before."""
        return (child.parent, child.parent_epoch) in self._checkpoints.index

    def states(self, children: Sequence[ModelSpec]) -> list[State]:
        """The weights that each child starts from; the children share a layout."""
        places = [(child.parent, child.parent_epoch) for child in children]
        weights, layout = self._zoo.weights(self._checkpoints.loc[places])
        # Copies, because a pickled view takes the memory of all that it is a view of.
        return [{name: value.clone() for name, value in layout.unflatten(flat).items()} for flat in weights]


def generations(models: Sequence[ModelSpec]) -> list[list[ModelSpec]]:
    """The models of a spec, apart: those that begin with an initialization, then their children, then the children of
    these, and so on."""
    found, before, left = list[list[ModelSpec]](), set[str | None]([None]), list(models)
    while left:
        found.append([model for model in left if model.parent in before])
        left = [model for model in left if model.parent not in before]
        before = {model.id for model in found[-1]}
    return found


def without_start(children: Sequence[ModelSpec], images: Datasets) -> list[TrainedModel]:
    """Children of a parent that diverged before the fork: they count as diverged too, and have no checkpoint."""
    shapes = [images[dataset_key(child)] for child in children]
    return [
        TrainedModel(child, "diverged", 0.0, shape.channels, outputs_of(child, shape), ())
        for child, shape in zip(children, shapes, strict=True)
    ]
