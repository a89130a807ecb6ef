"""Run a study's plan on Ray: what is missing, each piece once what it needs is there; failures stay where they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from zoo_generation.errors import InputError
from zoo_generation.kept import is_kept
from zoo_generation.training.cluster import Resources, ray_session, slots
from zoobench.studies.bench import Bench
from zoobench.studies.plan import Cell, Fit, Plan

POLL_SECONDS = 0.5
RETRIES = 2  # of a piece whose worker or node died
LOSSES = 20  # of nodes, on each of which a piece was tried as often: machines come and go, and that is no fault of it

Piece = Fit | Cell


@dataclass
class Progress:
    """How far a run is: what was missing of the plan, what of it has ended, what runs now, and why pieces failed, by
    their name."""

    missing: tuple[Piece, ...]
    ended: list[Piece] = field(default_factory=list)
    running: list[Piece] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)


def run_plan(
    plan: Plan,
    bench: Bench,
    *,
    ray_address: str | None = None,
    workers: int | None = None,
    resources: Resources | None = None,
    report: Callable[[Progress], None] = lambda _: None,
) -> dict[str, str]:
    """Make all pieces of the plan that are not there yet; returns why some failed, by their name.

    A piece that fails takes with it those that need it, and no others. Every piece runs in a process of its own share
    of cores, so results depend neither on their number nor on the order.
    """
    fits, cells = missing(plan, bench)
    progress = Progress((*fits, *cells))
    if not progress.missing:
        return {}
    with ray_session(ray_address, workers) as ray:
        cpus, gpus = (resources or Resources()).on(ray)
        job = ray.remote(_make).options(num_cpus=cpus, num_gpus=gpus, max_retries=RETRIES)
        stored = ray.put(bench)
        waiting = _Queue(fits, cells)
        running: dict[Any, Piece] = {}
        losses: Counter[Piece] = Counter()
        while True:
            while len(running) < slots(ray, cpus, gpus) and (piece := waiting.next()) is not None:
                running[job.remote(stored, piece, max(1, int(cpus)))] = piece
            progress.running = list(running.values())
            report(progress)
            if not running:
                return progress.failures
            done, _ = ray.wait(list(running), timeout=POLL_SECONDS)
            for reference in done:
                piece = running.pop(reference)
                if losses[piece] < LOSSES and _lost_its_node(ray, reference):
                    losses[piece] += 1
                    running[job.remote(stored, piece, max(1, int(cpus)))] = piece
                    continue
                reason = _outcome(ray, reference)
                lost = waiting.finished(piece, failed=reason is not None)
                if reason is not None:
                    progress.failures |= {piece.name: reason} | {cell.name: f"{piece.name}: {reason}" for cell in lost}
                progress.ended += [piece, *lost]


def missing(plan: Plan, bench: Bench) -> tuple[list[Fit], list[Cell]]:
    """What is not there yet, or not as it was written: cells, and the fits that they need."""
    cells = [cell for cell in plan.cells if not is_kept(bench.cell_path(cell))]
    needed = {cell.fit for cell in cells}
    paths = {fit: bench.fit_path(fit) for fit in plan.fits}
    needed |= {fit for fit, path in paths.items() if path.exists()}
    return [fit for fit, path in paths.items() if fit in needed and not is_kept(path)], cells


class _Queue:
    """Pieces in the order in which they can be made: cells whose fit is there before further fits."""

    def __init__(self, fits: Sequence[Fit], cells: Sequence[Cell]) -> None:
        self._fits = list(fits)
        pending = set(fits)
        self._ready = [cell for cell in cells if cell.fit not in pending]
        self._blocked: dict[Fit, list[Cell]] = {fit: [cell for cell in cells if cell.fit == fit] for fit in fits}

    def next(self) -> Piece | None:
        if self._ready:
            return self._ready.pop(0)
        return self._fits.pop(0) if self._fits else None

    def finished(self, piece: Piece, failed: bool) -> list[Cell]:
        """Cells of a fit become ready; where it failed they are lost, and returned."""
        if not isinstance(piece, Fit):
            return []
        cells = self._blocked.pop(piece)
        if not failed:
            self._ready += cells
        return cells if failed else []


def _lost_its_node(ray: Any, reference: Any) -> bool:
    """Whether a piece has not ended, since the machines that it ran on went away."""
    try:
        ray.get(reference)
    except ray.exceptions.NodeDiedError:
        return True
    except ray.exceptions.RayError:
        return False
    return False


def _outcome(ray: Any, reference: Any) -> str | None:
    """Why a piece failed, in a line; none where it did not."""
    try:
        ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        reason = str(error.cause).strip().split("\n")[0]
        return reason if isinstance(error.cause, InputError) else f"{type(error.cause).__name__}: {reason}"
    except ray.exceptions.RayError as error:
        return f"its worker died {RETRIES + 1} times: {str(error).strip().splitlines()[0]}"
    return None


def _make(bench: Bench, piece: Piece, threads: int) -> None:
    """Make a piece, in a worker."""
    from zoo_generation.networks.threads import use_threads

    use_threads(threads)
    if isinstance(piece, Fit):
        bench.fit(piece)
    else:
        bench.measure(piece)
