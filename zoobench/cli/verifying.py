"""Verify entries with progress; say what came of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

from zoo_generation.errors import InputError
from zoo_generation.text import shown
from zoobench.cli.console import console, counting, styled, table, to_standard_error
from zoobench.cli.leaderboards import print_json
from zoobench.cli.refreshing import Refreshed, refresh
from zoobench.cli.tables import score_text
from zoobench.leaderboard.audit import Finding, audit, entries_of
from zoobench.leaderboard.proposal import Proposal, proposal
from zoobench.zoo.workspace import Workspace

COLOURS = {"verified": "green", "refused": "red", "not here": "yellow", "not judged": "red"}


@dataclass(frozen=True)
class Anew:
    """That methods are run on fresh zoos, of a seed that is drawn where none is given; how many minutes to begin in."""

    seed: int | None
    minutes: float


def verify(
    names: list[str],
    leaderboards: Path,
    proposed: Path | None,
    place: Workspace,
    fetch: bool,
    json: bool,
    anew: Anew | None,
) -> bool:
    """Verify the entries named, or what is proposed; returns whether all hold whose artefacts are here."""
    if proposed is not None and names:
        raise InputError(f"{', '.join(names)} was given with --proposed, which verifies all that differs; give one")
    of = Proposal(entries_of(leaderboards, names), [], []) if proposed is None else proposal(leaderboards, proposed)
    findings, refreshed = [], []
    with to_standard_error() if json else nullcontext():  # builds tell of themselves, and bars move
        with counting("verifying") as count:
            for finding in audit(leaderboards, of.entries, place.data_root, fetch):
                findings.append(finding)
                count(len(findings), len(of.entries))
        _show(findings, of)
        if anew is not None:
            hold = [entry for entry, finding in zip(of.entries, findings, strict=True) if finding.verdict == "verified"]
            for each in refresh(hold, leaderboards, place, anew.seed, anew.minutes):
                refreshed.append(each)
                _show_refreshed(each)
        if refreshed:
            console.print(
                f"Zoos were built of the seed {refreshed[0].seed}, and lie under {place.home / 'runs' / 'fresh'}"
            )
    if json:
        told = {"entries": [asdict(finding) for finding in findings], "refused": of.strays, "others": of.others}
        print_json(told | {"fresh": [asdict(each) for each in refreshed]} if anew else told)
    return not of.strays and all(finding.verdict in ("verified", "not here") for finding in findings)


def _show(findings: Sequence[Finding], of: Proposal) -> None:
    result = table("Entries", ["track", "entry", "verdict"], ["seconds"])
    for finding in findings:
        verdict = styled(finding.verdict, COLOURS[finding.verdict])
        result.add_row(finding.track, shown(finding.entry)[:80], verdict, f"{finding.seconds:.1f}")
    console.print(result)
    for finding in findings:
        for reason in finding.reasons:
            console.print(f"{finding.track}/{shown(finding.entry)[:80]}: {reason}", soft_wrap=True)
    for stray in of.strays:
        console.print(f"Refused: {stray}", soft_wrap=True)
    for other in of.others:
        console.print(f"For a person to look at: {other}", soft_wrap=True)
    counted = Counter(finding.verdict for finding in findings)
    console.print(", ".join(f"{count} {verdict}" for verdict, count in counted.items()) or "There is nothing to verify")


def _show_refreshed(each: Refreshed) -> None:
    scores = (
        "" if each.fresh is None else f" {score_text(each.fresh, None)}, recorded {score_text(each.recorded, None)}"
    )
    reason = f" ({shown(each.reason)})" if each.reason else ""
    told = f"{each.track}/{shown(each.entry)[:80]}: {each.kind}{scores}{reason}, {each.seconds / 60:.1f} minutes"
    console.print(told, soft_wrap=True)
