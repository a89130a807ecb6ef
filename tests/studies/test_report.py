"""The report of an ablation study: its files, Markdown, and tables on the terminal."""

from __future__ import annotations

import io
import math
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from helpers.made_up_report import HOSTILE, TARGETS, made_up_report
from markdown_it import MarkdownIt
from rich.console import Console

from zoo_generation.text import inert_markdown
from zoobench.cli.tables import answer_tables, score_tables
from zoobench.evaluation.plan import NO_COMPOSITION
from zoobench.studies.relations import ID
from zoobench.studies.report import Report, write_report
from zoobench.studies.report.curves import composition_curves, epoch_curves
from zoobench.studies.report.scores import Row, matrices, ranking


def test_tables_are_written_as_they_are(report_folder: Path) -> None:
    report = made_up_report()
    for name, table in (("measurements", report.measurements), ("summary", report.summary)):
        pd.testing.assert_frame_equal(pd.read_parquet(report_folder / f"{name}.parquet"), table)
        assert len(pd.read_csv(report_folder / f"{name}.csv")) == len(table)
    for name in ("effects", "against_baselines", "curves", "comparisons"):
        assert len(pd.read_csv(report_folder / f"{name}.csv")) == len(getattr(report, name))


def test_the_same_report_gives_the_same_bytes(report_folder: Path, tmp_path: Path) -> None:
    write_report(made_up_report(), tmp_path)
    for file in (file for file in report_folder.rglob("*") if file.suffix in {".html", ".md", ".svg"}):
        assert (tmp_path / file.relative_to(report_folder)).read_bytes() == file.read_bytes(), file


def test_cells_know_their_relation_and_their_place_among_the_scores_on_their_target() -> None:
    sane, peer = matrices(made_up_report(), "generation")
    assert sane.compositions["mnist"]["mnist/cnn_s"].relation == ID
    assert sane.compositions["mnist"]["svhn/cnn_s"].relation == "OOD dataset"
    assert "mnist/resnet18" not in sane.compositions["mnist-quarter"]
    assert list(sane.baselines) == ["random_init"]
    for target in TARGETS:
        rows = [*sane.compositions.values(), *peer.compositions.values(), *sane.baselines.values()]
        cells = sorted((row[target] for row in rows if target in row), key=lambda cell: cell.heat)
        scored = [cell.mean for cell in cells if not math.isnan(cell.mean)]
        assert scored == sorted(scored)
        assert cells[-1].heat == 1


def test_one_catastrophe_does_not_take_all_the_colour() -> None:
    report = replace(made_up_report(), primary={"property_prediction": "epoch_r2"})
    cells = {name: row[TARGETS[3]] for name, row in _compositions(report).items() if TARGETS[3] in row}
    assert cells["all"].heat == 0
    assert 0.1 < cells["mnist"].heat < 1


def _compositions(report: Report) -> dict[str, Row]:
    return matrices(report, "property_prediction")[0].compositions


def test_methods_are_ranked_on_their_largest_composition() -> None:
    scores = [("small", "a", "x", 0.9), ("large", "a", "x", 0.5), ("large", "a", "y", 0.5)]
    scores += [("large", "b", "x", 0.5), ("large", "b", "y", 0.6), (NO_COMPOSITION, "c", "x", 0.7)]
    summary = pd.DataFrame(scores, columns=["composition", "method", "target", "mean"]).assign(task="t", metric="m")
    compositions = pd.DataFrame({"composition": ["small", "large"], "models": [1, 2]})
    ranks = ranking(replace(made_up_report(), summary=summary, compositions=compositions, primary={"t": "m"}), "t")
    assert ranks.to_dict("list") == {
        "method": ["c", "b", "a"],
        "composition": [NO_COMPOSITION, "large", "large"],
        "targets": [1, 2, 2],
        "rank": [1.0, 1.75, 2.25],
    }


def test_curves_hold_level_baselines_and_epochs_in_order() -> None:
    report = made_up_report()
    curves = composition_curves(report, "generation", "datasets")
    anchors = curves[curves["line"].str.startswith("anchors (")].groupby("target")
    assert [list(rows["x"]) for _, rows in anchors] == [[1, 4], [1, 4]]
    assert set(curves["std"].dropna().round(6)) == {0.1}
    epochs = epoch_curves(report, "fine_tuning")
    assert {"sane, ID", "sane, OOD", "random_init"} < set(epochs["line"]) and set(epochs["target"]) == set(TARGETS)
    inside = epochs[(epochs["line"] == "sane, ID") & (epochs["target"] == TARGETS[0])]
    assert list(inside["x"]) == [0, 1, 5, 25]
    of = report.summary[(report.summary["metric"] == "after_5") & (report.summary["target"] == TARGETS[0])]
    of = of[(of["method"] == "sane") & (of["relation"] == "ID")]
    assert inside[inside["x"] == 5]["mean"].item() == pytest.approx(of["mean"].mean())
    assert epoch_curves(report, "generation").empty


def test_a_report_of_little_is_written_too(tmp_path: Path) -> None:
    full = made_up_report()
    summary = full.summary[full.summary["composition"] == NO_COMPOSITION]
    empty = {
        name: getattr(full, name)[:0] for name in ("effects", "against_baselines", "curves", "comparisons", "failures")
    }
    report = replace(full, summary=summary, **empty)
    write_report(replace(report, description=""), tmp_path)
    for name in ("report.html", "report.md"):
        content = (tmp_path / name).read_text()
        assert "The study asks no questions." in content and "says nothing of single effects" in content
        assert "Failures" not in content
    assert [path.name for path in (tmp_path / "plots").iterdir()] == ["task-3-fine-tuning-epochs.svg"]
    write_report(replace(full, summary=full.summary.assign(mean=math.nan), curves=full.curves[:0]), tmp_path)
    assert [path.name for path in (tmp_path / "plots").iterdir()] == ["task-3-fine-tuning-epochs.svg"]


def test_markdown_shows_names_and_links_plots_that_are_there(report_folder: Path) -> None:
    text = (report_folder / "report.md").read_text()
    html = MarkdownIt("gfm-like", {"linkify": False}).render(text)
    assert HOSTILE not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") == text.count(inert_markdown(HOSTILE))
    assert "<b id" not in html
    assert "<strong>better</strong>" in html
    for table in html.split("<table>")[1:]:
        rows = table.split("</table>")[0].split("<tr>")[1:]
        assert len({row.count("<td") + row.count("<th") for row in rows}) == 1
    links = re.findall(r"\(plots/(.*?)\)", text)
    assert sorted(links) == sorted(file.name for file in (report_folder / "plots").iterdir())


def test_terminal_tables_fit_80_columns_and_show_every_composition() -> None:
    report = made_up_report()
    console = Console(width=80, record=True, file=io.StringIO())
    for table in [*answer_tables(report.answers()), *score_tables(report.summary, report.primary)]:
        console.print(table)
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert "0.369 ± 0.256 •" in text
    assert "<script>alert(1)" in text
    assert "[red]" in text
    assert text.count("Does ") == 2
