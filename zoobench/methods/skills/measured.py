"""What can be known of skills at most, by asking the network itself."""

from __future__ import annotations

import pandas as pd
from torch import Tensor

from zoo_generation.networks.module import build_module
from zoo_generation.networks.skills import skill_strengths
from zoobench.methods.protocols import InapplicableError
from zoobench.methods.unlearned import Unlearned
from zoobench.populations import Population
from zoobench.zoo.emergence import skills_of


class MeasuredSkills(Unlearned):
    """The strength of each skill, exactly: the models are run on every input of their dataset.

    It knows which bits decide which skill. Of a skill now it is the truth itself; of a skill later it is all that the
    network answers today, and nothing of what it is about to answer.
    """

    def embed(self, population: Population) -> Tensor:
        """[checkpoints, skills]. Raises `InapplicableError` for models that do not answer with a number."""
        row = population.row
        skills = skills_of(str(row["dataset"]))
        if skills is None or row["classes"] != 1 or pd.isna(row["activation"]):
            raise InapplicableError(f"the skills of {population.name} are not known, or its activations differ")
        return skill_strengths(population.weights, population.layout, build_module(row), skills)[0].float()
