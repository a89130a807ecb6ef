"""The small network as a teacher of a new large one, for the first steps.

Source: Qin et al., Knowledge Inheritance for Pre-trained Language Models, arXiv 2105.13880.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from zoo_generation.data.images import Images
from zoo_generation.errors import InputError
from zoo_generation.networks.program import device_of
from zoobench.methods.descent import Parameters
from zoobench.methods.growth.enlargement import Enlargement, State
from zoobench.methods.growth.learned import LearnedGrowth
from zoobench.populations.logits import probabilities_of
from zoobench.populations.target import Target


@dataclass(frozen=True)
class KnowledgeInheritance(LearnedGrowth):
    """A new large network is trained on labels of which the share `alpha` is the small network's probabilities.

    As published: a mean of both losses, the teacher at first and labels alone afterwards. Ours: the teacher leaves at
    once, after `steps` (there its share falls step by step), since the training that follows is the same for all.
    """

    learning_rate: float = 0.01
    alpha: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.alpha <= 1:
            raise InputError(f"alpha is {self.alpha:g}; give the teacher's share of the labels, from 0 to 1")

    def start(self, plan: Enlargement, seed: int) -> dict[str, Tensor]:
        return plan.large.layout.unflatten(plan.large.new_models(len(plan.small), seed))

    def built(self, plan: Enlargement, parameters: Parameters) -> State:
        return dict(parameters)

    def labels(self, plan: Enlargement, images: Images) -> Tensor:
        teacher = probabilities_of(plan.small, images.images, device_of("auto"))
        return self.alpha * teacher + (1 - self.alpha) * F.one_hot(images.labels, teacher.shape[2]).float()

    def further(self, plan: Enlargement) -> float:
        return Target.of(plan.small).operations
