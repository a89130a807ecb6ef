"""When the models of a zoo learn each skill of their dataset, beside what theory says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from zoo_generation.data import get_dataset
from zoo_generation.data.made.sparse_parity import COUNTS, STRENGTH, SparseParity
from zoo_generation.errors import InputError
from zoo_generation.files import written_aside
from zoobench.display.plotting import COLOURS, Plot, fitting, grid, panels_of, plot
from zoobench.display.svg import standalone
from zoobench.theory.emergence import fit_in_time, in_time, time_to
from zoobench.zoo.schema import skills_among
from zoobench.zoo.store import Zoo, zoo_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTS = 200  # of a curve of theory


def skills_of(dataset: str) -> SparseParity | None:
    """The skills of a dataset, None if they are not known."""
    return get_dataset(dataset).skills


def steps_of(table: pd.DataFrame) -> NDArray[np.float64]:
    """Steps of the optimizer after which each checkpoint of a table was taken [checkpoints].

    The table has the columns epoch, batch_size, train_images and, where models saw a share of these, subset_fraction.
    """
    images = table["train_images"].astype(float).fillna(COUNTS[0]).clip(upper=COUNTS[0])
    if "subset_fraction" in table:
        images = (images * table["subset_fraction"].astype(float).fillna(1.0)).round()
    return np.asarray(table["epoch"] * np.ceil(images / table["batch_size"].astype(float)), float)


def exposure_of(table: pd.DataFrame) -> NDArray[np.float64]:
    """2 η S T of each checkpoint [checkpoints]: what stands beside B² P(k) in the exponent of equation 14 of arXiv
    2404.17563. The rate η counts twice, since models are trained by the mean squared error without a half.
    """
    return np.asarray(4 * table["learning_rate"].to_numpy(float) * STRENGTH * steps_of(table))


def calibrated(checkpoints: pd.DataFrame) -> tuple[float, float]:
    """The speed B² and the strength before training, by least squares on checkpoints of models of one skill.

    Raises `InputError` if there are none.
    """
    alone = checkpoints[[len(_skills(name)) == 1 for name in checkpoints["dataset"]]]
    if not len(alone):
        raise InputError("the zoo has no models of a single skill; build one of sparse_parity-1-12-3-6 too")
    return fit_in_time(exposure_of(alone), alone["skill_1"])


def emergence_times(checkpoints: pd.DataFrame, share: float = 0.5) -> pd.DataFrame:
    """When each model first reaches a share of each skill: one row per model and skill.

    checkpoints: of one dataset, as of `Zoo.checkpoints`. Columns: model_id; skill, counted from 1; frequency; exposure,
    as of `exposure_of`, between the two checkpoints where it is passed, in a straight line, NaN if it never is.
    """
    skills = _skills(checkpoints["dataset"].iloc[0])
    rows = []
    for model, table in checkpoints.sort_values("epoch").groupby("model_id"):
        exposure = exposure_of(table)
        for skill, frequency in enumerate(skills, 1):
            strength = table[f"skill_{skill}"].to_numpy(float)
            when = _first_reach(exposure, strength, share)
            rows.append({"model_id": model, "skill": skill, "frequency": frequency, "exposure": when})
    return pd.DataFrame(rows)


def beside_theory(zoo: Zoo, share: float = 0.5) -> pd.DataFrame:
    """When skills emerge in a zoo and by theory: one row per dataset and skill.

    Columns: dataset, skill, frequency; models, and how many of them reached the share; median of their exposures, as of
    `emergence_times`, NaN unless half of the models reached it; theory: the exposure by equation 14 with the constants
    of `calibrated`; ratio of the two. Raises `InputError` if the zoo has no models of a single skill.
    """
    speed, initial = calibrated(zoo.checkpoints)
    rows = []
    for dataset, own in zoo.checkpoints.groupby("dataset"):
        for skill, of_skill in emergence_times(own, share).groupby("skill"):
            times, frequency = of_skill["exposure"], float(of_skill["frequency"].iloc[0])
            median = float(np.median(times.fillna(np.inf)))
            theory = float(time_to(share, frequency, rate=0.5, initial=initial, speed=speed))
            rows.append(
                {
                    **{"dataset": dataset, "skill": skill, "frequency": frequency, "models": len(times)},
                    **{"reached": int(times.notna().sum()), "median": median if np.isfinite(median) else np.nan},
                    "theory": theory,
                }
            )
    table = pd.DataFrame(rows)
    return table.assign(ratio=table["median"] / table["theory"])


def emergence_plot(zoo: Zoo) -> Plot:
    """Strengths of skills over exposure: one panel per population, dots for the median over models and bars from the
    tenth to the ninetieth percentile, lines for the theory, whose two constants come from the models of a single skill.

    Raises `InputError` if the zoo has no skills, or no models of a single one.
    """
    checkpoints = zoo.checkpoints
    if not skills_among(checkpoints):
        raise InputError(f"the zoo {zoo.name} has no skills; build one with 'zoobench build-zoo --spec parity-small'")
    speed, initial = calibrated(checkpoints)
    populations = [rows for _, rows in checkpoints.groupby(["dataset", "width"]) if _skills(rows["dataset"].iloc[0])]

    def draw(figure: Figure) -> None:
        for panel, own in zip(panels_of(figure, len(populations)), populations, strict=True):
            x = exposure_of(own)
            span = np.linspace(0, x.max(), POINTS)
            for skill, frequency in enumerate(_skills(own["dataset"].iloc[0]), 1):
                colour = COLOURS[(skill - 1) % len(COLOURS)]
                seen = own[f"skill_{skill}"].astype(float).groupby(x).quantile(np.array([0.1, 0.5, 0.9])).unstack()
                reach = [seen[0.5] - seen[0.1], seen[0.9] - seen[0.5]]
                panel.errorbar(seen.index, seen[0.5], reach, fmt="o", color=colour, markersize=3, elinewidth=0.8)
                theory = in_time(span, frequency, rate=0.5, initial=initial, speed=speed)
                panel.plot(span, theory, color=colour, linewidth=1.2, label=f"skill {skill}")
            panel.set(xlabel="2 η S T", ylabel="strength of the skill", ylim=(-0.1, 1.15))
            panel.set_title(fitting(f"{own['dataset'].iloc[0]}, width {own['width'].iloc[0]:g}"), loc="left")
            panel.legend(loc="lower right")

    rows, columns = grid(len(populations))
    return plot("emergence", "When skills emerge, in the zoo and by theory", (4.2 * columns, 3.0 * rows), draw)


def save_plot(zoo: Zoo | str | Path, file: str | Path) -> None:
    """Write the emergence plot of a zoo, or of the zoo in a folder, as an SVG file. Raises `InputError` as the plot."""
    opened = zoo if isinstance(zoo, Zoo) else Zoo(zoo_path(str(zoo)))
    with written_aside(Path(file)) as aside:
        aside.write_text(standalone(emergence_plot(opened).svg), encoding="utf-8")


def _skills(dataset: str) -> list[float]:
    """Frequencies of a dataset's skills, none if they are not known."""
    found = skills_of(dataset)
    return [] if found is None else list(found.frequencies)


def _first_reach(exposure: NDArray[np.float64], strength: NDArray[np.float64], share: float) -> float:
    over = np.flatnonzero(strength >= share)
    if not len(over):
        return float("nan")
    place = over[0]
    if place == 0:
        return float(exposure[0])
    part = (share - strength[place - 1]) / (strength[place] - strength[place - 1])
    return float(exposure[place - 1] + part * (exposure[place] - exposure[place - 1]))
