"""A Hugging Face dataset: a card, plots, and for each population Parquet files, one row per checkpoint.

README.md                              the card; its front matter tells `datasets` a configuration a population
plots/test-accuracy.png
data/<population>/<split>.parquet      train, validation, test: by model
data/<population>/layout.json          [name, shape] of each entry of a state dict, in the order of the weights
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from itertools import groupby
from pathlib import Path

from zoobench.display.figures import save
from zoobench.zoo.exporters.huggingface.card import card_text
from zoobench.zoo.exporters.huggingface.files import write_population
from zoobench.zoo.exporters.huggingface.licences import check_licence
from zoobench.zoo.exporters.huggingface.populations import populations_of
from zoobench.zoo.exporters.models import ExportedModel
from zoobench.zoo.exporters.registry import Exporter
from zoobench.zoo.inspection import figure_of
from zoobench.zoo.store import Zoo


def write_dataset(out: Path, models: Iterable[ExportedModel], zoo: Zoo, licence: str) -> None:
    """Write all of a zoo's models and checkpoints, of any status; models come population by population."""
    populations = populations_of(zoo)
    of_model = {model: population for population in populations for model in population.splits}
    sizes = {
        population.name: write_population(out / "data" / population.name, of, population.splits)
        for population, of in groupby(models, key=lambda model: of_model[model.row["model_id"]])
    }
    (out / "plots").mkdir()
    save(figure_of([each.report for each in populations]), out / "plots" / "test-accuracy.png")
    (out / "README.md").write_text(card_text(zoo.card, populations, sizes, licence), encoding="utf-8")


HUGGINGFACE = Exporter(
    lambda zoo, licence: partial(write_dataset, zoo=zoo, licence=check_licence(licence)),
    summary="a Hugging Face dataset: a card, plots, and Parquet files with one row per checkpoint, weights included",
)
