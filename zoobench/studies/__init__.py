"""Studies: YAML files that compare methods over compositions of zoos, and their reports."""

from zoobench.studies.results import StudyResults, plan_study, run_study
from zoobench.studies.study import Study, read_study

__all__ = ["Study", "StudyResults", "plan_study", "read_study", "run_study"]
