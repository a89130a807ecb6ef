"""What a Python user types: `import zoobench as zb`. Names become things here, and nowhere below.

Each command of the shell has its function. Rooms are imported when a function needs them, so that `import zoobench` is
quick, and loads neither PyTorch nor Ray.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_generation.progress import QUIET, Progress

if TYPE_CHECKING:
    import pandas as pd

    from zoo_generation.training.spec import ZooSpec
    from zoobench.evaluation import Plan, Results
    from zoobench.leaderboard import Entry, Finding
    from zoobench.methods import Execution, Method
    from zoobench.methods.embedding import Embeddings
    from zoobench.methods.fitting import Fitted
    from zoobench.methods.generation import Generated, TargetChoice
    from zoobench.populations import Population, TokenSet
    from zoobench.populations.card import Dtype
    from zoobench.populations.selection import Selection
    from zoobench.studies import Study, StudyResults
    from zoobench.tasks.base import Task
    from zoobench.zoo import Zoo
    from zoobench.zoo.importers import Imported
    from zoobench.zoo.inspection import ZooReport
    from zoobench.zoo.validation import ValidationReport
    from zoobench.zoo.workspace import Workspace

USED = ("trained", "at_chance")
"""Statuses of models that are learned from unless others are named; those that diverged never are."""


def build_zoo(
    spec: str | Path | ZooSpec | None = None,
    *,
    out: str | Path | None = None,
    workspace: Workspace | None = None,
    progress: Progress = QUIET,
    **fields: Any,
) -> Zoo:
    """Train a zoo: every combination of the values given, with several seeds each. What is there is not trained again.

    spec: a preset's name, a YAML file, or None for zoobench's defaults; fields: those of a spec, in place of its own,
    such as `datasets`, `architectures`, `seeds`, `epochs`; out: a folder or URL, None for `zoos/<name>` in the
    workspace. Raises `InputError` for what a spec cannot be, and if there is a zoo of another spec.

    >>> zoo = build_zoo(datasets=["digits"], architectures=["mlp"], seeds=2, epochs=1)  # doctest: +SKIP
    """
    from zoo_generation.names import inside
    from zoo_generation.training.spec import ZooSpec
    from zoobench.zoo import building, zoo_path
    from zoobench.zoo.workspace import Workspace

    workspace = workspace or Workspace()
    if isinstance(spec, ZooSpec):
        chosen = building.spec_of(None, **spec.model_dump() | fields) if fields else spec
    else:
        chosen = building.spec_of(spec, **fields)
    path = inside(workspace.zoos, chosen.title) if out is None else zoo_path(str(out))
    return building.build_zoo(chosen, path, workspace, progress)


def load_zoo(path: str | Path | None = None, *, workspace: Workspace | None = None) -> Zoo:
    """The zoo in a folder, or at a URL such as `s3://bucket/zoo`; None for the one that the workspace built last.

    Raises `InputError` if there is none.
    """
    from zoobench.zoo import Zoo, latest_zoo, zoo_path
    from zoobench.zoo.workspace import Workspace

    return Zoo(latest_zoo((workspace or Workspace()).zoos) if path is None else zoo_path(str(path)))


def import_zoo(
    folder: str | Path,
    *,
    name: str | None = None,
    layout: str | None = None,
    dataset: str | None = None,
    architecture: str | None = None,
    out: str | Path | None = None,
    workspace: Workspace | None = None,
    progress: Progress = QUIET,
) -> Imported:
    """Take trained networks of others in as a zoo: `.zoo`, and `.faults` with what did not come in, and why.

    layout: how the folder is laid out, None to recognise it, see `list_importers`; dataset, architecture: of models
    whose files do not say so. Raises `InputError` if nothing can be taken in.
    """
    from zoo_generation.names import inside
    from zoobench.zoo import importers, zoo_path
    from zoobench.zoo.workspace import Workspace

    workspace, folder = workspace or Workspace(), Path(folder)
    name = importers.import_name(folder, name)
    path = inside(workspace.zoos, name) if out is None else zoo_path(str(out))
    return importers.import_zoo(
        folder, path, name, layout=layout, dataset=dataset, architecture=architecture, progress=progress
    )


def export_zoo(
    zoo: Zoo | str | Path, to: str, out: str | Path, *, licence: str | None = None, progress: Progress = QUIET
) -> Path:
    """Write a zoo for the readers of others, bit for bit. Returns the folder `out`.

    to: `modelzoos`, `safetensors` or `huggingface`, see `list_exporters`; licence: of a Hugging Face dataset.
    """
    from zoobench.zoo.exporters import export_zoo

    return export_zoo(_zoo(zoo), to, Path(out), licence, progress)


def validate_zoo(
    zoo: Zoo | str | Path,
    *,
    recompute: int = 0,
    seed: int = 0,
    workspace: Workspace | None = None,
    progress: Progress = QUIET,
) -> ValidationReport:
    """Check a zoo's card, files, checksums, tables, values and weights: `.valid`, `.problems`, `.verdict`.

    recompute: how many checkpoints to draw, with the seed, and evaluate again on their images.
    """
    from zoobench.zoo import Zoo, zoo_path
    from zoobench.zoo.validation import validate_zoo
    from zoobench.zoo.workspace import Workspace

    data_root = (workspace or Workspace()).data_root
    return validate_zoo(zoo if isinstance(zoo, Zoo) else zoo_path(str(zoo)), recompute, seed, data_root, progress)


def inspect_zoo(zoo: Zoo | str | Path) -> ZooReport:
    """What a zoo holds, what is missing yet, how accurate its models are, and what they cost."""
    from zoobench.zoo.inspection import inspect_zoo

    return inspect_zoo(_zoo(zoo))


def load_tokens(
    source: Zoo | str | Path | Sequence[Zoo | str | Path],
    *,
    token_size: int | None = None,
    batch_norm: bool = True,
    statuses: Sequence[str] = USED,
    seed: int = 0,
) -> TokenSet:
    """Checkpoints of zoos as tokens, split by model into train, val and test; or the token set in a folder.

    token_size: numbers in a token, None for the longest row of a layer, at most 288; batch_norm: whether BatchNorm's
    weight and bias are tokens; statuses: of models to take; seed: of the splits.
    """
    from zoobench.populations import TokenSet

    if isinstance(source, str | Path) and (Path(source) / "tokens.json").exists():
        return TokenSet.read(Path(source))
    return TokenSet.load(_selected(source, statuses, token_size, seed, batch_norm))


def save_tokens(
    source: Zoo | str | Path | Sequence[Zoo | str | Path],
    out: str | Path,
    *,
    dtype: Dtype = "float32",
    token_size: int | None = None,
    batch_norm: bool = True,
    statuses: Sequence[str] = USED,
    seed: int = 0,
    progress: Progress = QUIET,
) -> TokenSet:
    """Write the checkpoints of zoos as a token set, which is mapped, not loaded, when it is read; returns it.

    dtype: `float32`, `float16` or `bfloat16`; the rest as for `load_tokens`.
    """
    from zoobench.populations import write_token_set

    return write_token_set(Path(out), _selected(source, statuses, token_size, seed, batch_norm), dtype, progress)


def validate_tokens(path: str | Path) -> list[str]:
    """What is wrong with a token set, one sentence each: checksums, columns, types, splits, weights."""
    from zoobench.populations.validation import problems_of

    return list(problems_of(Path(path)))


def fit(
    method: str | Method,
    on: TokenSet | Zoo | str | Path | Sequence[Zoo | str | Path],
    *,
    preset: str | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    statuses: Sequence[str] = USED,
    execution: Execution | None = None,
    workspace: Workspace | None = None,
    progress: Progress = QUIET,
    **settings: Any,
) -> Fitted:
    """Fit a method to the training models of zoos, or of a token set.

    settings: hyperparameters in place of the preset's, such as `steps=500`; out: a folder to keep it in, from which
    `load_method` reads it. If that is None, a fit to zoos is kept under the workspace's `runs/`, where `evaluate` finds
    it too, and a fit to a token set is kept nowhere. execution: how the work is shared, and where losses are logged, of
    a fit that is not kept under `runs/`.

    >>> fitted = fit("sane", "zoos/digits-cnn_s", preset="tiny", steps=500)  # doctest: +SKIP
    """
    from zoo_generation.data.load import ImageStore
    from zoobench.evaluation import fitted
    from zoobench.methods import Execution, fitting
    from zoobench.populations import TokenSet, kept_statuses
    from zoobench.zoo.workspace import Workspace

    workspace, chosen = workspace or Workspace(), get_method(method)
    config = chosen.config(preset, settings)
    if out is None and not isinstance(on, TokenSet):
        used = kept_statuses(statuses)
        return fitted(chosen, config, _zoos(on), seed, statuses=used, workspace=workspace, progress=progress)
    execution, images = execution or Execution(device=workspace.device), ImageStore(workspace.data_root)
    tokens = (on if isinstance(on, TokenSet) else load_tokens(on, statuses=statuses)).bounded()
    if out is None:
        return fitting.fit(chosen, config, tokens, seed, execution=execution, images=images, progress=progress)
    return fitting.fit_into(
        Path(out), chosen, config, tokens, seed, execution=execution, images=images, progress=progress
    )


def load_method(path: str | Path, method: str | Method | None = None) -> Fitted:
    """A fitted method from the folder that it was saved in. method: of an older folder, which does not name its own."""
    from zoobench.methods.fitting import Fitted

    return Fitted.load(Path(path), None if method is None else get_method(method))


def embed(
    fitted: Fitted,
    on: Zoo | Population | str | Path | Sequence[Zoo | str | Path],
    *,
    layers: bool = False,
    statuses: Sequence[str] = USED,
    workspace: Workspace | None = None,
    progress: Progress = QUIET,
) -> pd.DataFrame:
    """Vectors of checkpoints: one row per checkpoint, or per checkpoint and layer.

    Columns: population, model_id, epoch, with `layers` also layer and name, and embedding [width] float32. Of zoos
    whose embeddings do not fit into memory, `save_embeddings` writes them.
    """
    import tempfile

    import pandas as pd

    from zoo_generation.data.load import ImageStore
    from zoobench.methods.embedding import embed_population
    from zoobench.populations import Population
    from zoobench.zoo.workspace import Workspace

    if isinstance(on, Population):
        images = ImageStore((workspace or Workspace()).data_root)
        return embed_population(fitted, on, layers=layers, images=images)
    with tempfile.TemporaryDirectory(prefix="zoobench-") as temporary:
        folder = Path(temporary) / "embeddings"
        how = {"layers": layers, "statuses": statuses, "workspace": workspace, "progress": progress}
        written = save_embeddings(fitted, on, folder, **how)  # type: ignore[arg-type]
        tables = [pd.read_parquet(folder / f"{each.name}.parquet").assign(population=each.name) for each in written]
    table = pd.concat(tables, ignore_index=True)
    return table[["population", *table.columns.drop("population")]]


def save_embeddings(
    fitted: Fitted,
    on: Zoo | str | Path | Sequence[Zoo | str | Path],
    out: str | Path,
    *,
    layers: bool = False,
    population: str | None = None,
    checkpoint: str | None = None,
    statuses: Sequence[str] = USED,
    workspace: Workspace | None = None,
    progress: Progress = QUIET,
) -> list[Embeddings]:
    """Write the vectors of checkpoints into a folder: one Parquet file per population, a card and a figure.

    population, checkpoint (`ID` or `ID:EPOCH`): embed these alone. Returns one record per population.
    """
    from zoo_generation.data.load import ImageStore
    from zoobench.methods.embedding import Chosen, embed_zoos
    from zoobench.populations import kept_statuses
    from zoobench.zoo.workspace import Workspace

    return embed_zoos(
        fitted,
        _zoos(on),
        Path(out),
        chosen=Chosen.of(population, checkpoint),
        layers=layers,
        statuses=kept_statuses(statuses),
        images=ImageStore((workspace or Workspace()).data_root),
        progress=progress,
    )


def generate(
    fitted: Fitted,
    on: Zoo | Population | str | Path | Sequence[Zoo | str | Path],
    *,
    target: TargetChoice | None = None,
    anchors: int = 5,
    drawn: int = 200,
    keep: int = 10,
    rounds: int = 1,
    selection_images: int = 500,
    passes: int = 3,
    seed: int = 0,
    statuses: Sequence[str] = USED,
    out: str | Path | None = None,
    workspace: Workspace | None = None,
    progress: Progress = QUIET,
    **sampling: Any,
) -> Generated:
    """New models around trained ones, without any training: `.weights`, `.accuracies`, `.zoo`.

    target: a dataset, architecture, width or activation that the zoo need not have; anchors: how many trained models to
    draw around, 0 for none; drawn: models per round; keep: how many to keep, the best on `selection_images` validation
    images; rounds: more than one is bootstrapping; passes: batches of images that set BatchNorm's statistics; sampling:
    of a method with such settings, as `density="joint"`; out: the new zoo's folder, None for `generated/<name>` in the
    workspace.

    >>> new = generate(fitted, "zoos/digits-cnn_s", drawn=200, keep=10)  # doctest: +SKIP
    """
    from zoo_generation.names import file_name, inside
    from zoobench.methods.generation import TargetChoice, generate_models
    from zoobench.methods.sampling import Draw
    from zoobench.populations import Population
    from zoobench.zoo import zoo_path
    from zoobench.zoo.workspace import Workspace

    workspace = workspace or Workspace()
    if isinstance(on, Population):
        names, populations = [on.name], fitted.in_its_tokens([on])
    else:
        zoos = _zoos(on)
        names = [zoo.name for zoo in zoos]
        tokens = load_tokens(zoos, statuses=statuses).bounded()
        populations = fitted.in_its_tokens(tokens.populations)
    title = file_name(f"{'+'.join(names)}-{fitted.method.name}")
    return generate_models(
        fitted,
        populations,
        inside(workspace.home / "generated", title).absolute() if out is None else zoo_path(str(out)),
        title,
        zoos=names,
        target=target or TargetChoice(),
        anchors=anchors,
        how=Draw(drawn, keep, selection_images, rounds, passes),
        sampling=sampling,
        seed=seed,
        workspace=workspace,
        progress=progress,
    )


def evaluate(
    methods: str | Method | Sequence[str | Method] | Mapping[str, str | Mapping[str, Any] | None],
    on: Zoo | str | Path | Sequence[Zoo | str | Path],
    *,
    tasks: Sequence[str | Task] | None = None,
    baselines: bool = True,
    seeds: int | Sequence[int] = 3,
    statuses: Sequence[str] = USED,
    workspace: Workspace | None = None,
    progress: Progress = QUIET,
) -> Results:
    """Fit methods to zoos, measure each by every task that it can do, beside the baselines.

    methods: names or methods; or by name a preset, or settings in place of the first one's, or None. tasks: None for
    all. seeds: how many, or which. What is there under the workspace's `runs/` is not made again; what fails is in
    `.failures`, and the rest is measured all the same.

    >>> found = evaluate(["sane", "pca"], "zoos/digits-cnn_s", tasks=["generation"])  # doctest: +SKIP
    >>> found.standings()  # doctest: +SKIP
    """
    from zoobench.evaluation import evaluate
    from zoobench.populations import kept_statuses
    from zoobench.tasks.registry import get_task

    chosen = [get_task(task) if isinstance(task, str) else task for task in tasks] if tasks is not None else None
    return evaluate(
        _configured(methods),
        _zoos(on),
        tasks=chosen,
        baselines=baselines,
        seeds=range(seeds) if isinstance(seeds, int) else seeds,
        statuses=kept_statuses(statuses),
        workspace=workspace,
        progress=progress,
    )


def run_study(
    study: str | Path | Study,
    *,
    seeds: int | None = None,
    workspace: Workspace | None = None,
    progress: Progress = QUIET,
) -> StudyResults:
    """Make all that a study asks for and is not there yet: zoos, fits, cells. `.report()`, `.save(folder)`.

    study: a YAML file, or a `Study`; seeds: how many, in place of the study's.
    """
    from zoobench.studies import run_study

    return run_study(_study(study, seeds), workspace, progress)


def plan_study(study: str | Path | Study, *, seeds: int | None = None, workspace: Workspace | None = None) -> Plan:
    """What a study would do; `.cost()` says about how long it takes."""
    from zoobench.studies import plan_study

    return plan_study(_study(study, seeds), workspace)


def run_track(
    method: str | Method,
    track: str,
    *,
    preset: str | None = None,
    workspace: Workspace | None = None,
    progress: Progress = QUIET,
    **settings: Any,
) -> Entry:
    """Measure a method on a track of the leaderboards; `results/<track>/<method>/` then holds what can be handed in."""
    from zoobench.leaderboard import read_track, run_track
    from zoobench.zoo.workspace import Workspace

    workspace, chosen = workspace or Workspace(), get_method(method)
    found = read_track(workspace.leaderboards, track)
    return run_track(chosen, found, workspace, progress, chosen.config(preset, settings))


def submit(
    source: str | Path,
    *,
    check: bool = False,
    out: str | Path | None = None,
    replace: bool = False,
    workspace: Workspace | None = None,
    progress: Progress = QUIET,
    **said: Any,
) -> Entry:
    """Judge a submission and put it into its track; returns the entry with its scores.

    source: a folder that `run_track` wrote, a zip file, or an artefact; check: only judge it; out: write one zip file
    instead; replace: take the place of the entry of that name; said: fields of the entry, such as `authors`, `licence`.
    Raises `InputError` with all that is wrong.
    """
    from zoobench.leaderboard import submit
    from zoobench.zoo.workspace import Workspace

    target = None if out is None else Path(out)
    return submit(
        Path(source), workspace or Workspace(), check=check, out=target, replace=replace, progress=progress, **said
    )


def load_leaderboard(track: str, *, metric: str | None = None, workspace: Workspace | None = None) -> pd.DataFrame:
    """A track's entries: one row per entry and target, best first by the metric; None for the track's own."""
    from zoobench.leaderboard import leaderboard
    from zoobench.zoo.workspace import Workspace

    return leaderboard(track, workspace or Workspace(), metric)


def verify(
    names: Sequence[str] = (),
    *,
    proposed: str | Path | None = None,
    fetch: bool = False,
    workspace: Workspace | None = None,
    progress: Progress = QUIET,
) -> list[Finding]:
    """Compute the scores of entries anew from what they hold. names: tracks, or `track/entry`; none for all."""
    from zoobench.leaderboard import verify
    from zoobench.zoo.workspace import Workspace

    other = None if proposed is None else Path(proposed)
    return verify(names, workspace or Workspace(), proposed=other, fetch=fetch, progress=progress)


def get_method(method: str | Method) -> Method:
    """The method of that name; a `Method` itself. Raises `InputError`, naming the nearest match, if there is none."""
    from zoobench.methods.registry import get_method

    return get_method(method) if isinstance(method, str) else method


def get_task(name: str, **settings: Any) -> Task:
    """The task of that name, with settings in place of its own, such as `drawn=50`.

    >>> get_task("generation", drawn=50).drawn
    50
    """
    from zoobench.tasks.registry import get_task

    return get_task(name, settings)


def import_architecture(path: str) -> None:
    """Make a function of one's own, `package.module:function`, an architecture of zoos. It is named by that path."""
    from zoo_generation.networks.architectures import import_architecture

    import_architecture(path)


def list_methods() -> tuple[str, ...]:
    """Names of all methods, those of installed packages last.

    >>> "sane" in list_methods()
    True
    """
    from zoobench.methods.registry import METHODS

    return METHODS.names()


def list_tasks() -> tuple[str, ...]:
    """Names of all tasks."""
    from zoobench.tasks.registry import TASKS

    return TASKS.names()


def list_datasets() -> tuple[str, ...]:
    """Names of all datasets, whether or not their images are here."""
    from zoo_generation.data import dataset_names

    return tuple(dataset_names())


def list_architectures() -> tuple[str, ...]:
    """Names of all architectures."""
    from zoo_generation.networks.architectures import architecture_names

    return tuple(architecture_names())


def list_presets() -> tuple[str, ...]:
    """Names of all presets of zoos, for `build_zoo`."""
    from zoo_generation.training.presets import preset_names

    return tuple(preset_names())


def list_tracks(*, workspace: Workspace | None = None) -> tuple[str, ...]:
    """Names of the tracks in the workspace's `leaderboards/`."""
    from zoobench.leaderboard import track_names
    from zoobench.zoo.workspace import Workspace

    return tuple(track_names((workspace or Workspace()).leaderboards))


def list_importers() -> tuple[str, ...]:
    """Names of the layouts that `import_zoo` reads."""
    from zoobench.zoo.importers.registry import IMPORTERS

    return IMPORTERS.names()


def list_exporters() -> tuple[str, ...]:
    """Names of the layouts that `export_zoo` writes."""
    from zoobench.zoo.exporters.registry import EXPORTERS

    return EXPORTERS.names()


def _zoo(zoo: Zoo | str | Path) -> Zoo:
    return load_zoo(zoo) if isinstance(zoo, str | Path) else zoo


def _zoos(zoos: Zoo | str | Path | Sequence[Zoo | str | Path]) -> list[Zoo]:
    from zoobench.zoo import Zoo

    return [_zoo(each) for each in ([zoos] if isinstance(zoos, Zoo | str | Path) else zoos)]


def _selected(
    source: Zoo | str | Path | Sequence[Zoo | str | Path],
    statuses: Sequence[str],
    token_size: int | None,
    seed: int,
    batch_norm: bool,
) -> Selection:
    from zoobench.populations import kept_statuses, select_checkpoints

    return select_checkpoints(_zoos(source), token_size, seed, kept_statuses(statuses), batch_norm=batch_norm)


def _study(study: str | Path | Study, seeds: int | None) -> Study:
    from zoobench.studies import read_study

    changes = {} if seeds is None else {"seeds": seeds}
    return read_study(Path(study), changes) if isinstance(study, str | Path) else study.model_copy(update=changes)


def _configured(
    methods: str | Method | Sequence[str | Method] | Mapping[str, str | Mapping[str, Any] | None],
) -> dict[Method, object]:
    """Methods with the configuration of each."""
    from zoobench.methods import Method

    if isinstance(methods, Mapping):
        chosen = {get_method(name): choice for name, choice in methods.items()}
        return {
            method: method.config(choice) if choice is None or isinstance(choice, str) else method.config(None, choice)
            for method, choice in chosen.items()
        }
    listed = [methods] if isinstance(methods, str | Method) else methods
    return {method: method.config(None) for method in map(get_method, listed)}
