"""Methods that predict skills by what is known of them: the floor of theory, and the ceiling of a forward pass."""

from zoobench.methods.method import Method
from zoobench.methods.skills.emergence import EmergenceLaw
from zoobench.methods.skills.measured import MeasuredSkills

__all__ = ["EmergenceLaw", "MeasuredSkills"]

EMERGENCE_LAW = Method(
    "emergence_law",
    EmergenceLaw,
    baseline=True,
    random=False,
    learns=False,
    summary="Predicts skills from learning rate and steps alone, by the law of emergence in time",
    paper="arXiv 2404.17563",
)
MEASURED_SKILLS = Method(
    "measured_skills",
    MeasuredSkills,
    random=False,
    learns=False,
    runs_models=True,
    summary="Embeds a model as its strengths of skills, on every input: the ceiling",
    paper="arXiv 2404.17563",
)
