"""Run a plan on Ray: make each missing piece once, as soon as the pieces that it needs exist.

A failure stops only the pieces that need the failed one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from zoo_generation.errors import InputError
from zoo_generation.kept import is_kept
from zoo_generation.progress import QUIET, Progress
from zoo_generation.training.cluster import slots
from zoobench.evaluation.cells import Cells, prepare
from zoobench.evaluation.plan import Cell, Fit, Plan
from zoobench.evaluation.results import Results
from zoobench.zoo.workspace import Workspace

POLL_SECONDS = 0.5
RETRIES = 2  # of a piece whose worker or node died
LOSSES = 20  # lost nodes per piece, each after as many tries: machines come and go, and the piece is not at fault

Piece = Fit | Cell


def run(plan: Plan, workspace: Workspace, progress: Progress = QUIET) -> Results:
    """Build, fit and measure all pieces of a plan that are not kept under `runs/` yet.

    If a piece fails, those that need it are left out and all others are made; `Results.failures` gives the reasons.
    Every piece runs in a process with its own share of cores, so results depend neither on their number nor on the
    order. Raises `InputError` if the plan cannot start, for example because a zoo cannot be built.
    """
    building = any(source.spec is not None for source in plan.sources)
    with workspace.ray() if building else nullcontext():
        cells = prepare(plan.origins, workspace, progress)
        return Results(plan, cells, _run(plan, cells, workspace, progress))


def _run(plan: Plan, cells: Cells, workspace: Workspace, progress: Progress) -> dict[str, str]:
    """Make all missing pieces. Returns the reasons of failures, by the pieces' names."""
    fits, to_measure = missing(plan, cells)
    pieces: tuple[Piece, ...] = (*fits, *to_measure)
    failures: dict[str, str] = {}
    if not pieces:
        return failures
    step = progress.stage("measuring")
    with workspace.ray() as ray:
        cpus, gpus = workspace.resources.on(ray)
        job = ray.remote(_make).options(num_cpus=cpus, num_gpus=gpus, max_retries=RETRIES)
        stored, number = ray.put((cells, pieces)), {piece: place for place, piece in enumerate(pieces)}
        waiting, ended = _Queue(fits, to_measure), 0
        running: dict[Any, Piece] = {}
        losses: Counter[Piece] = Counter()

        def start(piece: Piece) -> None:
            running[job.remote(stored, number[piece], max(1, int(cpus)))] = piece

        while True:
            while len(running) < slots(ray, cpus, gpus) and (piece := waiting.next()) is not None:
                start(piece)
            step(ended, len(pieces), note=_words(list(running.values()), len(failures)))
            if not running:
                return failures
            done, _ = ray.wait(list(running), timeout=POLL_SECONDS)
            for reference in done:
                piece = running.pop(reference)
                if losses[piece] < LOSSES and _lost_its_node(ray, reference):
                    losses[piece] += 1
                    start(piece)
                    continue
                reason = _outcome(ray, reference)
                lost = waiting.finished(piece, failed=reason is not None)
                if reason is not None:
                    failures |= {piece.name: reason} | {cell.name: f"{piece.name}: {reason}" for cell in lost}
                ended += 1 + len(lost)


def missing(plan: Plan, cells: Cells) -> tuple[list[Fit], list[Cell]]:
    """The missing or damaged pieces: cells, and the fits that they need."""
    to_measure = [cell for cell in plan.cells if not is_kept(cells.cell_path(cell))]
    needed = {cell.fit for cell in to_measure}
    paths = {fit: cells.fit_path(fit) for fit in plan.fits}
    needed |= {fit for fit, path in paths.items() if path.exists()}
    return [fit for fit, path in paths.items() if fit in needed and not is_kept(path)], to_measure


class _Queue:
    """Pieces in the order in which they can be made: cells whose fit exists before further fits."""

    def __init__(self, fits: Sequence[Fit], cells: Sequence[Cell]) -> None:
        self._fits = list(fits)
        pending = set(fits)
        self._ready = [cell for cell in cells if cell.fit not in pending]
        self._blocked: dict[Fit, list[Cell]] = {fit: [cell for cell in cells if cell.fit is fit] for fit in fits}

    def next(self) -> Piece | None:
        if self._ready:
            return self._ready.pop(0)
        return self._fits.pop(0) if self._fits else None

    def finished(self, piece: Piece, failed: bool) -> list[Cell]:
        """Release the cells of a fit; if the fit failed, drop and return them."""
        if not isinstance(piece, Fit):
            return []
        cells = self._blocked.pop(piece)
        if not failed:
            self._ready += cells
        return cells if failed else []


def _words(running: Sequence[Piece], failures: int) -> str:
    """The running pieces and the number of failures, as words."""
    first = running[0].name[:50] if running else ""
    more = f" +{len(running) - 1}" if len(running) > 1 else ""
    return f"{first}{more}{f', {failures} failed' if failures else ''}"


def _lost_its_node(ray: Any, reference: Any) -> bool:
    """Whether a piece did not end because the machines that it ran on went away."""
    try:
        ray.get(reference)
    except ray.exceptions.NodeDiedError:
        return True
    except ray.exceptions.RayError:
        return False
    return False


def _outcome(ray: Any, reference: Any) -> str | None:
    """Why a piece failed, in one line. None if it did not."""
    try:
        ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        reason = str(error.cause).strip().split("\n")[0]
        return reason if isinstance(error.cause, InputError) else f"{type(error.cause).__name__}: {reason}"
    except ray.exceptions.RayError as error:
        return f"its worker died {RETRIES + 1} times: {str(error).strip().splitlines()[0]}"
    return None


def _make(stored: tuple[Cells, tuple[Piece, ...]], number: int, threads: int) -> None:
    """Make a piece, in a worker."""
    from zoo_generation.networks.threads import use_threads

    use_threads(threads)
    cells, pieces = stored
    cells.import_architectures()
    piece = pieces[number]
    if isinstance(piece, Fit):
        cells.fit(piece)
    else:
        cells.measure(piece)
