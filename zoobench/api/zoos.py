"""Zoos and token sets: build, load, import, export, check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_generation.errors import InputError
from zoo_generation.progress import QUIET, Progress
from zoo_generation.text import as_given

if TYPE_CHECKING:
    from zoo_generation.training.spec import ZooSpec
    from zoobench.populations import TokenSet
    from zoobench.populations.card import Dtype
    from zoobench.populations.selection import Selection
    from zoobench.zoo import Zoo
    from zoobench.zoo.importers import Imported
    from zoobench.zoo.inspection import ZooReport
    from zoobench.zoo.landscape.phases import PhaseRule
    from zoobench.zoo.landscape.report import LandscapeReport
    from zoobench.zoo.validation import ValidationReport
    from zoobench.zoo.workspace import Workspace

USED = ("trained", "at_chance")
"""Statuses of models that are learned from unless others are named; those that diverged never are."""


def build_zoo(
    spec: str | Path | ZooSpec | None = None,
    *,
    out: str | Path | None = None,
    stack_size: int | None = None,
    workspace: Workspace | None = None,
    progress: Progress = QUIET,
    **fields: Any,
) -> Zoo:
    """Train a zoo: every combination of the values given, with several seeds each. What is there is not trained again.

    spec: a preset's name, a YAML file, or None for zoobench's defaults; fields: those of a spec, in place of its own,
    such as `datasets`, `architectures`, `seeds`, `epochs`; out: a folder or URL, None for `zoos/<name>` in the
    workspace; stack_size: models trained at once, None for as many as fit into memory. Raises `InputError` for what a
    spec cannot be, and if there is a zoo of another spec.

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
    return building.build_zoo(chosen, path, workspace, progress, stack_size)


def load_zoo(path: str | Path | None = None, *, workspace: Workspace | None = None) -> Zoo:
    """The zoo in a folder, or at a URL such as `s3://bucket/zoo`; None for the one that the workspace built last.

    Raises `InputError` if there is none.

    >>> load_zoo("zoos/digits-cnn_s").models  # doctest: +SKIP
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

    `results/import-<name>.json` in the workspace says so too, see `.report`.

    layout: how the folder is laid out, None to recognise it, see `list_importers`; dataset, architecture: of models
    whose files do not say so. Raises `InputError` if nothing can be taken in.

    >>> import_zoo("their-models", dataset="mnist").faults  # doctest: +SKIP
    """
    from zoo_generation.names import inside
    from zoobench.zoo import importers, zoo_path
    from zoobench.zoo.workspace import Workspace

    workspace, folder = workspace or Workspace(), Path(folder)
    name = importers.import_name(folder, name)
    path = inside(workspace.zoos, name) if out is None else zoo_path(str(out))
    return importers.import_zoo(
        folder,
        path,
        name,
        layout=layout,
        dataset=dataset,
        architecture=architecture,
        report=inside(workspace.results, f"import-{name}", ".json"),
        progress=progress,
    )


def export_zoo(
    zoo: Zoo | str | Path, to: str, out: str | Path, *, licence: str | None = None, progress: Progress = QUIET
) -> Path:
    """Write a zoo for the readers of others, bit for bit. Returns the folder `out`.

    to: `modelzoos`, `safetensors` or `huggingface`, see `list_exporters`; licence: of a Hugging Face dataset.
    Raises `InputError` for an unknown layout, for a zoo that the layout cannot hold, and if `out` is there already.

    >>> export_zoo("zoos/digits-cnn_s", "safetensors", "exported")  # doctest: +SKIP
    """
    from zoobench.zoo.exporters import export_zoo

    return export_zoo(zoo_of(zoo), to, Path(out), licence, progress)


def validate_zoo(
    zoo: Zoo | str | Path | None = None,
    *,
    recompute: int = 0,
    seed: int = 0,
    workspace: Workspace | None = None,
    progress: Progress = QUIET,
) -> ValidationReport:
    """Check a zoo's card, files, checksums, tables, values and weights: `.valid`, `.problems`, `.verdict`.

    zoo: None for the one that the workspace built last; recompute: how many checkpoints to draw, with the seed, and
    evaluate again on their images.

    >>> validate_zoo("zoos/digits-cnn_s", recompute=10).verdict  # doctest: +SKIP
    """
    from zoobench.zoo import Zoo, latest_zoo, zoo_path
    from zoobench.zoo.validation import validate_zoo
    from zoobench.zoo.workspace import Workspace

    workspace = workspace or Workspace()
    path = latest_zoo(workspace.zoos) if zoo is None else zoo if isinstance(zoo, Zoo) else zoo_path(str(zoo))
    return validate_zoo(path, recompute, seed, workspace.data_root, progress)


def inspect_zoo(zoo: Zoo | str | Path) -> ZooReport:
    """What a zoo holds, what is missing yet, how accurate its models are, and what they cost: `.table`, `.figure()`.

    Raises `InputError` if there is no zoo, or if it is damaged.

    >>> inspect_zoo("zoos/digits-cnn_s").table  # doctest: +SKIP
    """
    from zoobench.zoo.inspection import inspect_zoo

    return inspect_zoo(zoo_of(zoo))


def measure_landscape(
    zoo: Zoo | str | Path | None = None,
    *,
    epoch: int | None = None,
    rule: PhaseRule | Mapping[str, Any] | None = None,
    workspace: Workspace | None = None,
    progress: Progress = QUIET,
    **settings: Any,
) -> LandscapeReport:
    """Measure the loss landscape around a zoo's models, and find its phases: `.table`, `.by_phase()`, `.save(folder)`.

    What is measured is written into the zoo, and not measured again. zoo: None for the one that the workspace built
    last; epoch: after which models are measured, None for the last that all have, or with a falling learning rate that
    nearest to 77 % of training; rule: thresholds of the phases, such as `{"loss": 0.1}`; settings: those of
    `LandscapeSettings`, such as `probes`. Raises `InputError` if the zoo was measured with other settings, or if its
    images are missing.

    >>> measure_landscape("zoos/phases").by_phase()  # doctest: +SKIP
    """
    from pydantic import ValidationError

    from zoo_generation.settings import changed, sentence
    from zoobench.zoo.landscape.measure import LandscapeSettings
    from zoobench.zoo.landscape.phases import PhaseRule
    from zoobench.zoo.landscape.survey import measure_landscape

    try:
        chosen = rule if isinstance(rule, PhaseRule) else PhaseRule(**rule or {})
    except ValidationError as error:
        raise InputError(sentence(error, "threshold of the phases", PhaseRule)) from None
    given = changed(LandscapeSettings(), settings, "setting of a landscape")
    opened = load_zoo(workspace=workspace) if zoo is None else zoo_of(zoo)
    return measure_landscape(opened, epoch, given, chosen, workspace, progress)


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
    weight and bias are tokens; statuses: of models to take; seed: of the splits. Raises `InputError` if there is
    neither a zoo nor a token set, or if it is damaged.

    >>> tokens = load_tokens("zoos/digits-cnn_s")  # doctest: +SKIP
    >>> tokens.split("train").populations[0].tokens.shape  # doctest: +SKIP
    """
    from zoobench.populations import TokenSet

    if is_token_set(source):
        return TokenSet.read(Path(str(source)))
    return TokenSet.load(selected(source, statuses, token_size, seed, batch_norm))


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

    dtype: `float32`, `float16` or `bfloat16`; the rest as for `load_tokens`. Raises `InputError` as that does, and if
    `out` is there already.

    >>> save_tokens("zoos/digits-cnn_s", "tokens/digits", dtype="bfloat16")  # doctest: +SKIP
    """
    from zoobench.populations import write_token_set

    return write_token_set(Path(out), selected(source, statuses, token_size, seed, batch_norm), dtype, progress)


def validate_tokens(path: str | Path) -> list[str]:
    """What is wrong with a token set, one sentence each: checksums, columns, types, splits, infinite or NaN weights.

    An empty list if it is sound.

    >>> validate_tokens("tokens/digits-cnn_s")  # doctest: +SKIP
    []

    Raises `InputError` for a folder that cannot be read.
    """
    from zoobench.populations.validation import problems_of

    return list(problems_of(Path(path)))


def import_architecture(path: str) -> None:
    """Make a function of one's own, `package.module:function`, an architecture of zoos. It is named by that path.

    Raises `InputError` if it cannot be imported, or does not build a network.

    >>> import_architecture("my_package.my_networks:small_net")  # doctest: +SKIP
    """
    from zoo_generation.networks.architectures import import_architecture

    import_architecture(path)


def zoo_of(zoo: Zoo | str | Path) -> Zoo:
    """A zoo, opened if a folder or URL is given."""
    from zoobench.zoo import Zoo

    if isinstance(zoo, Zoo):
        return zoo
    if isinstance(zoo, str | Path):
        return load_zoo(zoo)
    raise InputError(f"a zoo is a Zoo, a folder or a URL, and {as_given(zoo)} was given; see load_zoo")


def zoos_of(zoos: Zoo | str | Path | Sequence[Zoo | str | Path]) -> list[Zoo]:
    """One zoo or several, opened where folders or URLs are given."""
    found = [zoo_of(each) for each in listed(zoos)]
    if not found:
        raise InputError("no zoo was given; name one or more")
    return found


def listed(given: Any) -> list[Any]:
    """Several things as a list, one as a list of itself."""
    return list(given) if isinstance(given, list | tuple) else [given]


def is_token_set(source: object) -> bool:
    """Whether a folder is given that holds a token set."""
    return isinstance(source, str | Path) and (Path(source) / "tokens.json").exists()


def selected(
    source: Zoo | str | Path | Sequence[Zoo | str | Path],
    statuses: Sequence[str],
    token_size: int | None,
    seed: int,
    batch_norm: bool,
) -> Selection:
    """Checkpoints of zoos, to be made into tokens."""
    from zoobench.populations import kept_statuses, select_checkpoints

    return select_checkpoints(zoos_of(source), token_size, seed, kept_statuses(statuses), batch_norm=batch_norm)
