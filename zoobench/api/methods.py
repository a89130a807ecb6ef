"""Methods: fit, embed, generate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_generation.errors import InputError
from zoo_generation.progress import QUIET, Progress
from zoo_generation.text import as_given
from zoobench.api.zoos import USED, is_token_set, load_tokens, zoos_of

if TYPE_CHECKING:
    import pandas as pd

    from zoobench.methods import Execution, Method
    from zoobench.methods.embedding import Embeddings
    from zoobench.methods.fitting import Fitted
    from zoobench.methods.generation import Generated, TargetChoice
    from zoobench.populations import Population, TokenSet
    from zoobench.zoo import Zoo
    from zoobench.zoo.workspace import Workspace


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
    a fit that is not kept under `runs/`. Raises `InputError` for an unknown method, preset or setting, and if `out` is
    there already.

    >>> fitted = fit("sane", "zoos/digits-cnn_s", preset="tiny", steps=500)  # doctest: +SKIP
    """
    from zoo_generation.data.load import ImageStore
    from zoo_generation.kept import check
    from zoobench.evaluation import fitted
    from zoobench.methods import Execution, fitting
    from zoobench.populations import TokenSet, kept_statuses
    from zoobench.zoo.workspace import Workspace

    workspace, chosen = workspace or Workspace(), get_method(method)
    config = chosen.config(preset, settings)
    if isinstance(on, str | Path) and is_token_set(on):
        check(Path(on), "the token set", "restore it, or make it again with 'zoobench tokens build'")
        on = load_tokens(on)
    if out is None and not isinstance(on, TokenSet):
        used = kept_statuses(statuses)
        return fitted(chosen, config, zoos_of(on), seed, statuses=used, workspace=workspace, progress=progress)
    execution, images = execution or Execution(device=workspace.device), ImageStore(workspace.data_root)
    tokens = (on if isinstance(on, TokenSet) else load_tokens(on, statuses=statuses)).bounded()
    if out is None:
        return fitting.fit(chosen, config, tokens, seed, execution=execution, images=images, progress=progress)
    return fitting.fit_into(
        Path(out), chosen, config, tokens, seed, execution=execution, images=images, progress=progress
    )


def load_method(path: str | Path, method: str | Method | None = None) -> Fitted:
    """A fitted method from the folder that it was saved in. method: of an older folder, which does not name its own.

    Raises `InputError` if there is none, if it is of another method, or if it is not what was written.

    >>> fitted = load_method("models/digits-cnn_s-sane-0")  # doctest: +SKIP
    """
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
    whose embeddings do not fit into memory, `save_embeddings` writes them. Checkpoints whose embedding is not finite
    are left out. Raises `InputError` if the method does not embed.

    >>> table = embed(fit("sane", "zoos/digits-cnn_s"), "zoos/digits-cnn_s")  # doctest: +SKIP
    >>> vectors = np.stack(table["embedding"])  # doctest: +SKIP
    """
    import tempfile

    import pandas as pd

    from zoo_generation.data.load import ImageStore
    from zoobench.methods.embedding import embed_population
    from zoobench.populations import Population
    from zoobench.zoo.workspace import Workspace

    check_fitted(fitted)
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
    Raises `InputError` if the method does not embed, if there is no such population or checkpoint, and if `out` holds
    something else.

    >>> made = save_embeddings(fitted, "zoos/digits-cnn_s", "embeddings", layers=True)  # doctest: +SKIP
    """
    from zoo_generation.data.load import ImageStore
    from zoobench.methods.embedding import Chosen, embed_zoos
    from zoobench.populations import kept_statuses
    from zoobench.zoo.workspace import Workspace

    return embed_zoos(
        check_fitted(fitted),
        zoos_of(on),
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
    kept: int = 10,
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
    draw around, 0 for none; drawn: models per round; kept: how many to keep, the best on `selection_images` validation
    images; rounds: more than one is bootstrapping; passes: batches of images that set BatchNorm's statistics; sampling:
    of a method with such settings, as `density="joint"`; out: the new zoo's folder, None for `generated/<name>` in the
    workspace. Raises `InputError` if the method cannot generate so, and if `out` is something else than a zoo of
    generated models.

    >>> new = generate(fitted, "zoos/digits-cnn_s", drawn=200, kept=10)  # doctest: +SKIP
    """
    from zoo_generation.names import file_name, inside
    from zoobench.methods.generation import TargetChoice, generate_models
    from zoobench.methods.sampling import Draw
    from zoobench.populations import Population
    from zoobench.zoo import zoo_path
    from zoobench.zoo.workspace import Workspace

    check_fitted(fitted)
    workspace = workspace or Workspace()
    if isinstance(on, Population):
        names, populations = [on.name], fitted.in_its_tokens([on])
    else:
        zoos = zoos_of(on)
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
        how=Draw(drawn, kept, selection_images, rounds, passes),
        sampling=sampling,
        seed=seed,
        workspace=workspace,
        progress=progress,
    )


def get_method(method: str | Method) -> Method:
    """The method of that name; a `Method` itself. Raises `InputError`, naming the nearest match, if there is none.

    >>> get_method("sane").paper
    'arXiv 2406.09997'
    """
    from zoobench.methods import Method
    from zoobench.methods.registry import get_method

    if isinstance(method, Method):
        return method
    if isinstance(method, str):
        return get_method(method)
    raise InputError(f"a method is a name or a Method, and {as_given(method)} was given; see list_methods")


def check_fitted(fitted: Fitted) -> Fitted:
    """The same; raises `InputError` for what is not a fitted method."""
    from zoobench.methods.fitting import Fitted

    if not isinstance(fitted, Fitted):
        raise InputError(f"a fitted method is what fit and load_method return, and {as_given(fitted)} was given")
    return fitted
