"""Benchmark suite and dataset toolkit for weight space learning.

    import zoobench as zb

    zoo = zb.build_zoo(datasets=["mnist"], architectures=["cnn_s"], seeds=16, epochs=6)
    found = zb.evaluate(["sane", "layer_statistics"], zoo, tasks=["property_prediction", "generation"])
    found.standings()

PyTorch, Ray and the like are loaded when they are first needed, and so are the types.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from zoo_generation import __version__ as __version__  # settles how threads wait, before anything imports PyTorch
from zoobench.api.leaderboards import compare_entries as compare_entries
from zoobench.api.leaderboards import export_track as export_track
from zoobench.api.leaderboards import get_track as get_track
from zoobench.api.leaderboards import load_boards as load_boards
from zoobench.api.leaderboards import load_leaderboard as load_leaderboard
from zoobench.api.leaderboards import rebuild_tracks as rebuild_tracks
from zoobench.api.leaderboards import run_track as run_track
from zoobench.api.leaderboards import submit as submit
from zoobench.api.leaderboards import verify as verify
from zoobench.api.leaderboards import verify_fresh as verify_fresh
from zoobench.api.leaderboards import write_site as write_site
from zoobench.api.listing import list_architectures as list_architectures
from zoobench.api.listing import list_datasets as list_datasets
from zoobench.api.listing import list_exporters as list_exporters
from zoobench.api.listing import list_importers as list_importers
from zoobench.api.listing import list_methods as list_methods
from zoobench.api.listing import list_presets as list_presets
from zoobench.api.listing import list_tasks as list_tasks
from zoobench.api.listing import list_tracks as list_tracks
from zoobench.api.methods import embed as embed
from zoobench.api.methods import fit as fit
from zoobench.api.methods import generate as generate
from zoobench.api.methods import get_method as get_method
from zoobench.api.methods import load_method as load_method
from zoobench.api.methods import save_embeddings as save_embeddings
from zoobench.api.studies import evaluate as evaluate
from zoobench.api.studies import get_task as get_task
from zoobench.api.studies import plan_study as plan_study
from zoobench.api.studies import run_demo as run_demo
from zoobench.api.studies import run_study as run_study
from zoobench.api.zoos import build_zoo as build_zoo
from zoobench.api.zoos import export_zoo as export_zoo
from zoobench.api.zoos import import_architecture as import_architecture
from zoobench.api.zoos import import_zoo as import_zoo
from zoobench.api.zoos import inspect_zoo as inspect_zoo
from zoobench.api.zoos import load_tokens as load_tokens
from zoobench.api.zoos import load_zoo as load_zoo
from zoobench.api.zoos import measure_landscape as measure_landscape
from zoobench.api.zoos import save_tokens as save_tokens
from zoobench.api.zoos import validate_tokens as validate_tokens
from zoobench.api.zoos import validate_zoo as validate_zoo

if TYPE_CHECKING:
    from zoo_generation.data.images import Images as Images
    from zoo_generation.errors import AccessError as AccessError
    from zoo_generation.errors import InputError as InputError
    from zoo_generation.progress import QUIET as QUIET
    from zoo_generation.progress import Progress as Progress
    from zoo_generation.progress import Update as Update
    from zoo_generation.training.spec import ZooSpec as ZooSpec
    from zoobench.evaluation import Plan as Plan
    from zoobench.evaluation import Results as Results
    from zoobench.leaderboard import Board as Board
    from zoobench.leaderboard import Entry as Entry
    from zoobench.leaderboard import Finding as Finding
    from zoobench.leaderboard import Track as Track
    from zoobench.leaderboard.board import Difference as Difference
    from zoobench.leaderboard.rebuilding import Rebuilt as Rebuilt
    from zoobench.leaderboard.rebuilding import Refreshed as Refreshed
    from zoobench.leaderboard.running import FailedError as FailedError
    from zoobench.methods import Attributor as Attributor
    from zoobench.methods import Embedder as Embedder
    from zoobench.methods import Execution as Execution
    from zoobench.methods import Extractor as Extractor
    from zoobench.methods import Generator as Generator
    from zoobench.methods import Grower as Grower
    from zoobench.methods import Grown as Grown
    from zoobench.methods import InapplicableError as InapplicableError
    from zoobench.methods import LayerEmbedder as LayerEmbedder
    from zoobench.methods import MembershipReader as MembershipReader
    from zoobench.methods import Merger as Merger
    from zoobench.methods import Method as Method
    from zoobench.methods import Predictor as Predictor
    from zoobench.methods import Reconstructor as Reconstructor
    from zoobench.methods import TablePredictor as TablePredictor
    from zoobench.methods import Tracer as Tracer
    from zoobench.methods import Transferrer as Transferrer
    from zoobench.methods import Unlearned as Unlearned
    from zoobench.methods import ValueLearner as ValueLearner
    from zoobench.methods import ValueNetworks as ValueNetworks
    from zoobench.methods import Victims as Victims
    from zoobench.methods.fitting import Fitted as Fitted
    from zoobench.methods.generation import Generated as Generated
    from zoobench.methods.generation import TargetChoice as TargetChoice
    from zoobench.populations import Access as Access
    from zoobench.populations import Evidence as Evidence
    from zoobench.populations import Population as Population
    from zoobench.populations import RandomWindows as RandomWindows
    from zoobench.populations import TokenSet as TokenSet
    from zoobench.populations import Windows as Windows
    from zoobench.populations import kept_statuses as kept_statuses
    from zoobench.studies import Study as Study
    from zoobench.studies import StudyResults as StudyResults
    from zoobench.tasks.answers import Predictions as Predictions
    from zoobench.tasks.answers import Scores as Scores
    from zoobench.tasks.answers import Weights as Weights
    from zoobench.tasks.base import Setting as Setting
    from zoobench.tasks.base import Task as Task
    from zoobench.tasks.estimates import Estimate as Estimate
    from zoobench.zoo import Zoo as Zoo
    from zoobench.zoo.importers import Imported as Imported
    from zoobench.zoo.inspection import ZooReport as ZooReport
    from zoobench.zoo.landscape.measure import LandscapeSettings as LandscapeSettings
    from zoobench.zoo.landscape.phases import PhaseRule as PhaseRule
    from zoobench.zoo.landscape.report import LandscapeReport as LandscapeReport
    from zoobench.zoo.validation import ValidationReport as ValidationReport
    from zoobench.zoo.workspace import Workspace as Workspace

_TYPES = {
    "zoo_generation.data.images": "Images",
    "zoo_generation.errors": "AccessError InputError",
    "zoo_generation.progress": "Progress QUIET Update",
    "zoo_generation.training.spec": "ZooSpec",
    "zoobench.evaluation": "Plan Results",
    "zoobench.leaderboard": "Board Entry Finding Track",
    "zoobench.leaderboard.board": "Difference",
    "zoobench.leaderboard.rebuilding": "Rebuilt Refreshed",
    "zoobench.leaderboard.running": "FailedError",
    "zoobench.methods": (
        "Attributor Embedder Execution Extractor Generator Grower Grown InapplicableError LayerEmbedder "
        "MembershipReader Merger Method Predictor Reconstructor TablePredictor Tracer Transferrer Unlearned "
        "ValueLearner ValueNetworks Victims"
    ),
    "zoobench.methods.fitting": "Fitted",
    "zoobench.methods.generation": "Generated TargetChoice",
    "zoobench.populations": "Access Evidence Population RandomWindows TokenSet Windows kept_statuses",
    "zoobench.studies": "Study StudyResults",
    "zoobench.tasks.answers": "Predictions Scores Weights",
    "zoobench.tasks.base": "Setting Task",
    "zoobench.tasks.estimates": "Estimate",
    "zoobench.zoo": "Zoo",
    "zoobench.zoo.importers": "Imported",
    "zoobench.zoo.inspection": "ZooReport",
    "zoobench.zoo.landscape.measure": "LandscapeSettings",
    "zoobench.zoo.landscape.phases": "PhaseRule",
    "zoobench.zoo.landscape.report": "LandscapeReport",
    "zoobench.zoo.validation": "ValidationReport",
    "zoobench.zoo.workspace": "Workspace",
}
"""Types by module, for `__getattr__`: the names that a type checker sees in the block above."""

_MODULES = {name: module for module, names in _TYPES.items() for name in names.split()}

__all__ = sorted(
    name for name, each in globals().items() if getattr(each, "__module__", "").startswith("zoobench.api.")
)
__all__ += sorted(_MODULES)


def __getattr__(name: str) -> Any:
    """The type of that name, loaded now."""
    if name not in _MODULES:
        raise AttributeError(f"module 'zoobench' has no attribute '{name}'")
    found = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
