"""Verify entries with progress; say what came of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from zoo_generation.errors import InputError
from zoobench.cli.console import console, counting, styled, table
from zoobench.cli.leaderboards import print_json
from zoobench.leaderboard.audit import Finding, audit, entries_of
from zoobench.leaderboard.proposal import Proposal, proposal
from zoobench.text import shown

COLOURS = {"verified": "green", "refused": "red", "not here": "yellow", "not judged": "red"}


def verify(
    names: list[str], leaderboards: Path, proposed: Path | None, data_root: Path | None, fetch: bool, json: bool
) -> bool:
    """Verify the entries named, or what is proposed; returns whether all hold whose artefacts are here."""
    if proposed is not None and names:
        raise InputError(f"{', '.join(names)} was given with --proposed, which verifies all that differs; give one")
    of = Proposal(entries_of(leaderboards, names), [], []) if proposed is None else proposal(leaderboards, proposed)
    findings = []
    with counting("verifying") as count:
        for finding in audit(leaderboards, of.entries, data_root, fetch):
            findings.append(finding)
            count(len(findings), len(of.entries))
    if json:
        print_json({"entries": [asdict(finding) for finding in findings], "refused": of.strays, "others": of.others})
    else:
        _show(findings, of)
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
