"""Tables that several commands print, in 80 columns."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

import zoobench as zb
from zoo_generation.text import NOT_A_NUMBER, duration, fact, percent, score, shown, words
from zoobench.cli.console import Table, styled, table

if TYPE_CHECKING:
    import pandas as pd

    Places = Sequence[tuple[int | None, zb.Entry]]

BARS = " ▁▂▃▄▅▆▇█"
SEED = r", seed \d+$"  # ends the name of a fit and of a cell
COSTS = ["a fit,\ncore-s", "answers,\ncore-s", "parameters"]
FAULTS = 40  # in a table; all of them are in the file

TARGETS_ABREAST = 3
LONGEST_NAME = 24
"""Characters: with as many targets abreast as that, a table is 80 wide."""

CAPTION = "mean ± std over seeds; • in distribution: the target's population is in the composition"


def population_tables(report: zb.ZooReport) -> list[Table]:
    """Two tables with one row per population: models by status and checkpoints; test accuracy and its histogram."""
    statuses = list(report.populations[0].models) if report.populations else []
    headers = [status.replace("_", " ") for status in statuses]
    counts = table(f"Zoo {report.name}: models", ["population"], [*headers, "check-\npoints"])
    accuracies = table("Test accuracy of the last checkpoints", ["population"], ["mean ± std"])
    bins = max((len(each.accuracy_histogram) for each in report.populations), default=8)
    accuracies.add_column(f"{'0 %':<{bins - 5}}100 %", no_wrap=True)
    for each in report.populations:
        title = shown(each.title)  # the tables of an imported zoo may name anything
        counts.add_row(title, *(str(each.models[status] or "–") for status in statuses), str(each.checkpoints))
        mean, std = each.accuracy_mean, each.accuracy_std
        spread = "" if std is None else f" ± {std:.1%}"
        accuracies.add_row(title, "–" if mean is None else f"{mean:.1%}{spread}", bars(each.accuracy_histogram))
    return [counts, accuracies]


def cost_table(report: zb.ZooReport) -> Table:
    """What one core trains in an hour, one row per population."""
    result = table("Trained in an hour on one core", ["population"], ["models", "epochs of a model"])
    for each in report.populations:
        rates = (each.models_per_core_hour, each.model_epochs_per_core_hour)
        result.add_row(shown(each.title), *("–" if rate is None else f"{rate:,.0f}" for rate in rates))
    return result


def frame_table(title: str, frame: pd.DataFrame) -> Table:
    """A data frame as it is, numbers with two decimals."""
    result = table(title, [], [str(name).replace("_", "\n") for name in frame])
    for row in frame.to_dict("split", index=False)["data"]:
        result.add_row(*(fact(None if value != value else value) for value in row))
    return result


def bars(counts: Sequence[int]) -> str:
    """A histogram in one line, one character per bin: the highest bar is full, and only empty bins are blank.

    >>> bars((0, 1, 4, 8))
    ' ▁▄█'
    """
    highest = max(counts, default=0)
    return "".join(BARS[-(-count * (len(BARS) - 1) // highest) if highest else 0] for count in counts)


def check_table(report: zb.ValidationReport) -> Table:
    """How much was checked and what came of it, one row per check."""
    result = table(f"Zoo {report.name}: validation", ["check"], ["checked"])
    result.add_column("")
    result.add_column("outcome")
    for check in report.checks:
        outcome = styled("sound", "green") if check.count else styled("–")
        if check.problems:
            outcome = styled(f"{check.problems} problem{'s' if check.problems > 1 else ''}", "red")
        result.add_row(check.name, str(check.count), check.of, outcome)
    return result


def recomputed_table(report: zb.ValidationReport) -> Table:
    """Accuracies, their difference and that of losses: one block per population, one row per checkpoint and split."""
    numbers = ["recorded", "recomputed", "differ-\nence", "\nof loss"]
    result = table("Accuracy, recorded and recomputed", ["model", "epoch", "split"], numbers)
    population = ""
    for each in report.recomputed:
        if each.population != population:
            population = each.population
            result.add_row(styled(population, "bold"))
        loss = "–" if each.recorded_loss is None else f"{each.recomputed_loss - each.recorded_loss:+.4f}"
        accuracies = (percent(each.recorded), percent(each.recomputed), percent(each.difference, "+"))
        style = None if each.agrees else "red"
        result.add_row(f"  {each.model_id}", str(each.epoch), each.split, *accuracies, loss, style=style)
    return result


def fault_tables(imported: zb.Imported) -> list[Table]:
    """What an import left out, and what it took in changed or in doubt; no table for what did not occur."""
    tables = []
    titles = {"What did not come in": imported.faults, "What came in otherwise, or in doubt": imported.notes}
    for title, faults in titles.items():
        if not faults:
            continue
        result = table(title, [], [])
        result.add_column("model", overflow="fold", max_width=40)
        result.add_column("checkpoint")
        result.add_column("reason", overflow="fold")
        for fault in faults[:FAULTS]:
            checkpoint = "model" if fault.checkpoint is None else str(fault.checkpoint)
            result.add_row(shown(fault.model), checkpoint, shown(fault.reason))
        if len(faults) > FAULTS:
            result.caption = f"and {len(faults) - FAULTS} more"
        tables.append(result)
    return tables


def standings_tables(standings: pd.DataFrame) -> list[Table]:
    """One table per task, of `standings`: one row per method, best first, one column per target."""
    tables = []
    for (task, metric), rows in standings.groupby(["task", "metric"], sort=False):
        targets = list(dict.fromkeys(rows["target"]))
        result = table(
            f"{words(str(task)).capitalize()}: {words(str(metric))}",
            ["", "method"],
            ["mean", *(name.replace("-", "\n") for name in targets)],
        )
        for (rank, method), of_method in rows.groupby(["rank", "method"], sort=True):
            scores = of_method.set_index("target")[["mean", "std"]]
            cells = [score_text(*scores.loc[target]) if target in scores.index else "–" for target in targets]
            result.add_row(str(rank), str(method), score_text(of_method["average"].iloc[0], None), *cells)
        tables.append(result)
    return tables


def score_text(mean: float | None, std: float | None) -> str:
    """`mean ± std`, or what there is of it."""
    if mean is None or math.isnan(mean):
        return "–"
    return f"{mean:.3f}" if std is None or math.isnan(std) else f"{mean:.3f} ± {std:.3f}"


def cost_tables(cost: pd.DataFrame) -> list[Table]:
    """What a plan costs, as `Plan.cost` has it: one table per kind of piece, one row per piece, all seeds together."""
    tables = []
    for kind, rows in cost.groupby("kind", sort=False):
        result = table(f"{kind}: {len(rows)}", ["what"], ["seeds", "core time, about"])
        result.columns[0].no_wrap = False
        for name, seconds in rows.groupby(rows["name"].str.replace(SEED, "", regex=True), sort=False)["seconds"]:
            result.add_row(str(name), "–" if kind == "Zoos" else str(len(seconds)), duration(seconds.sum()))
        tables.append(result)
    return tables


def answer_tables(answers: pd.DataFrame) -> list[Table]:
    """One table per question of `Report.answers`: verdicts and sentences."""
    tables = []
    for question, rows in answers.groupby("question", sort=False):
        result = table(str(question), ["verdict"], [])
        result.add_column("answer", overflow="fold")
        for verdict, sentence in zip(rows["verdict"], rows["sentence"], strict=True):
            result.add_row(verdict, sentence)
        tables.append(result)
    return tables


def score_tables(summary: pd.DataFrame, primary: Mapping[str, str]) -> list[Table]:
    """Tables of each task and method: primary metric by composition and target, a few targets in each."""
    tables = []
    for task, rows in summary[summary["metric"] == summary["task"].map(primary)].groupby("task", sort=False):
        title = f"{words(str(task)).capitalize()}, {words(primary[str(task)])}"
        learned, baselines = (rows[(rows["composition"] == NOT_A_NUMBER) == alone] for alone in (False, True))
        targets = list(dict.fromkeys(rows["target"]))
        methods = [(str(method), of) for method, of in learned.groupby("method", sort=False)] or [("", learned)]
        for method, of_method in methods:
            for start in range(0, len(targets), TARGETS_ABREAST):
                abreast = targets[start : start + TARGETS_ABREAST]
                result = table(f"{title}: {method}" if method else title, ["composition"], [*map(shown, abreast)])
                result.caption, result.caption_justify = CAPTION, "left"
                for by, block in (("composition", of_method), ("method", baselines)):
                    for name, of_name in block.groupby(by, sort=False):
                        result.add_row(*_scores(str(name), of_name, abreast))
                    result.add_section()
                tables.append(result)
    return tables


def _scores(name: str, rows: pd.DataFrame, targets: Sequence[str]) -> Iterator[Text]:
    """A name, and scores on the targets; those on a target that is trained on stand out."""
    cut = styled(shown(name))
    cut.truncate(LONGEST_NAME, overflow="ellipsis")
    yield cut
    scored = zip(rows["target"], rows["mean"], rows["std"], rows["relation"], strict=True)
    cells = {
        target: styled(f"{score(mean, std)} •", "bold") if relation == "ID" else styled(f"{score(mean, std)}  ")
        for target, mean, std, relation in scored
    }
    yield from (cells.get(target, styled(NOT_A_NUMBER)) for target in targets)


def track_tables(boards: Sequence[zb.Board]) -> list[Table]:
    """One table per scale, one row per track: what ranks, the best method, and in brackets the best baseline."""
    tables = []
    order = sorted(boards, key=lambda board: board.track.scale == "paper")
    for scale in dict.fromkeys(board.track.scale for board in order):
        title = f"Tracks, {scale.replace('-', ' ')}: the best method (and the best baseline)"
        result = table(title, ["track", "ranks by", "best"], ["score", "entries"])
        for column in result.columns:
            column.no_wrap, column.overflow = str(column.header) in ("score", "entries"), "fold"
        for board in (each for each in boards if each.track.scale == scale):
            track, (method, baseline) = board.track, board.leading
            found = [(each, form) for each, form in ((method, "{}"), (baseline, "({})")) if each is not None]
            names = "\n".join(form.format(shown(each.name)) for each, form in found) or "–"
            scores = "\n".join(form.format(score_text(each.mean(track.metric), None)) for each, form in found) or "–"
            result.add_row(track.name, track.metric, styled(names), styled(scores), str(len(board.entries)))
        tables.append(result)
    return tables


def board_tables(board: zb.Board, pointed: Collection[str] = (), metric: str | None = None) -> list[Table | str]:
    """One row per entry, best first, one column per target, then what each saw and cost, then the marks; an arrow
    points to the entries `pointed`. Entries that another version of the task scored stand in a table of their own."""
    metric = metric or board.track.metric
    title = f"{board.track.name}: {metric}"
    tables: list[Table | str] = [_board_table(title, board, board.ranked(metric), pointed, metric)]
    for version in sorted({entry.task_version for entry in board.former}, reverse=True):
        of = [(None, entry) for entry in board.former if entry.task_version == version]
        tables.append(_board_table(f"{title}, by version {version} of the task", board, of, pointed, metric))
    costs = table(f"{board.track.name}: access and cost", ["entry", "access", "runs\nmodels"], COSTS)
    for _, entry in board.all(metric):
        costs.add_row(shown(entry.name), *map(fact, entry.conditions.values()))
    tables.append(costs)
    return tables + [f"{shown(entry.name)}: {shown(mark)}" for entry in board.entries for mark in entry.marks]


def _board_table(title: str, board: zb.Board, places: Places, pointed: Collection[str], metric: str) -> Table:
    fresh, targets = any(entry.fresh for _, entry in places), board.track.targets
    beside = [each for each in board.track.metrics[:3] if each != metric]
    columns = ["mean", *(["fresh"] if fresh else []), *(each.replace("-", "\n") for each in targets)]
    columns += [words(each).replace(" ", "\n") for each in beside]
    result = table(title, ["", "entry"], columns)
    for place, entry in places:
        scores = entry.of_metric(metric)
        cells = [score_text(scores[each].mean, scores[each].std) if each in scores else "–" for each in targets]
        if fresh:
            cells.insert(0, score_text(entry.fresh.mean(metric), None) if entry.fresh else "–")
        cells += [score_text(entry.mean(each), None) for each in beside]
        name = shown(entry.name) + (" ←" if entry.name in pointed else "")
        style = "bold" if entry.name in pointed else None if entry.is_ranked else "dim"
        result.add_row(str(place or "–"), name, score_text(entry.mean(metric), None), *cells, style=style)
    return result


def difference_tables(found: Sequence[zb.Difference], first: str, second: str) -> list[Table]:
    """One table per track, one row per target: both scores, and whether the intervals say that they differ."""
    tables = []
    for track in dict.fromkeys(each.track for each in found):
        of_track = [each for each in found if each.track == track]
        title = f"{track}: {of_track[0].metric} of {first} (A) and {second} (B)"
        result = table(title, ["target"], ["A", "B", "A − B", "intervals"])
        for each in of_track:
            said = {None: "–", True: "apart", False: "overlap"}[each.apart]
            difference = "–" if each.difference is None else f"{each.difference:+.3f}"
            result.add_row(each.target, score_text(each.first, None), score_text(each.second, None), difference, said)
        tables.append(result)
    return tables


def finding_table(findings: Sequence[zb.Finding]) -> Table:
    """One row per entry that was verified."""
    colours = {"verified": "green", "former": "yellow", "not here": "yellow"}
    result = table("Entries", ["track", "entry", "verdict"], ["seconds"])
    for each in (finding for finding in findings if finding.entry):
        verdict = styled(each.verdict, colours.get(each.verdict, "red"))
        result.add_row(each.track, shown(each.entry)[:80], verdict, f"{each.seconds:.1f}")
    return result


def rebuilt_table(found: Sequence[zb.Rebuilt]) -> Table:
    """One row per zoo that was built again."""
    result = table("Zoos of tracks", ["zoo"], ["models", "checkpoints", "content", "as recorded"])
    for zoo in found:
        result.add_row(zoo.zoo, str(zoo.models), str(zoo.checkpoints), zoo.content[:12], zoo.verdict)
    return result
