"""The leaderboard's pages, read without a browser."""

from __future__ import annotations

import datetime
import io
import json
import math
import re
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from helpers.made_up_boards import HOSTILE, METRICS, TURNING, ZOOS, made_up_boards, made_up_entry, made_up_track

from zoo_generation.errors import InputError
from zoo_generation.files import MARK
from zoobench.cli.console import Console, Table
from zoobench.cli.tables import board_tables
from zoobench.leaderboard.board import Board
from zoobench.leaderboard.entry import CONDITIONS, Fresh
from zoobench.leaderboard.site import write_site
from zoobench.leaderboard.site.content import ScoreAxis, axis, metric_words, one_line, rows, size

PAGES = ["index.html", "property-id/index.html", "property-id/hostile/index.html", "property-paper/index.html"]


class Elements(HTMLParser):
    """Every start tag of a page."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_each_track_and_entry_has_a_page(site_folder: Path) -> None:
    wanted = {"index.html", "style.css", "script.js", MARK}
    for board in made_up_boards():
        track = board.track.name
        wanted |= {f"{track}/index.html", f"{track}/entries.json"}
        wanted |= {f"{track}/{entry.name}/index.html" for entry in board.entries}
    assert {str(file.relative_to(site_folder)) for file in site_folder.rglob("*") if file.is_file()} == wanted


def test_every_link_is_relative_and_leads_somewhere_or_is_https_and_vouched_for_by_nobody(site_folder: Path) -> None:
    for page in site_folder.rglob("*.html"):
        for tag, attributes in Elements(page).found:
            for name in {"href", "src"} & attributes.keys():
                if tag == "use" or attributes[name] is None:
                    continue  # of a plot, within itself
                parts = urlsplit(attributes[name] or "")
                if parts.scheme:
                    assert (tag, parts.scheme) == ("a", "https")
                    assert attributes["rel"] == "nofollow noopener noreferrer"
                else:
                    target = page.parent / unquote(parts.path) if parts.path else page
                    assert target.is_file(), f"{page} links {attributes[name]}"
                    assert not parts.fragment or f'id="{parts.fragment}"' in target.read_text()


@pytest.mark.parametrize("name", PAGES)
def test_what_an_entry_says_is_text(site_folder: Path, name: str) -> None:
    text = (site_folder / name).read_text()
    found = Elements(site_folder / name).found
    assert HOSTILE not in text
    assert not [letter for letter in text if not letter.isprintable() and letter != "\n"]
    assert [attributes for tag, attributes in found if tag == "script"] == [{"src": _root(name) + "script.js"}]
    assert not [tag for tag, _ in found if tag in {"img", "style", "iframe", "form", "b"}]
    for _, attributes in found:
        assert not [key for key in attributes if key.startswith("on") or key == "style"]


def test_what_turns_or_hides_text_is_named(site_folder: Path) -> None:
    text = (site_folder / "property-id/hostile/index.html").read_text()
    assert TURNING not in text
    assert r"safe\u202egnirts\u2066 \x07bell" in text
    assert re.search(r'<code id="command">.*\\nrm -rf', text), "a pasted command would run at its line's end"


@pytest.mark.parametrize("name", PAGES)
def test_the_policy_lets_our_own_files_load_and_nothing_else(site_folder: Path, name: str) -> None:
    metas = [attributes for tag, attributes in Elements(site_folder / name).found if tag == "meta"]
    policy = next(each["content"] or "" for each in metas if each.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules.pop("default-src") == rules.pop("base-uri") == rules.pop("form-action") == "'none'"
    assert rules == {"style-src": "'self'", "script-src": "'self'"}


def _root(name: str) -> str:
    return "../" * name.count("/")


def test_the_table_for_machines_is_json_that_holds_the_entries(site_folder: Path) -> None:
    board = next(board for board in made_up_boards() if board.track.name == "property-id")
    text = (site_folder / "property-id/entries.json").read_text()
    data = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    entries = {entry.name: entry for entry in board.entries}
    for row in data["entries"]:
        ours = {key: row[key] for key in row.keys() - {"rank", "means"}}
        assert ours == entries[row["name"]].fields()
    assert [row["name"] for row in data["entries"]] == list(entries)
    for row, shown in zip(data["entries"], rows(board), strict=True):
        assert row["rank"] == shown.rank
        assert (row["rank"] is None) == (row["means"][METRICS[0]] is None or row["baseline"])
    assert data["track"]["metrics"] == list(METRICS)


def test_ties_share_a_place_the_earlier_first_and_baselines_and_copies_stand_beside() -> None:
    means = {"late": 0.804, "early": 0.8, "next": 0.797, "copy": 0.9, "base": 0.95, "close": 0.8031, "none": math.nan}
    dates = {"late": 5, "early": 1, "next": 1, "copy": 1, "base": 1, "close": 9, "none": 1}
    marks = {"copy": ("copy of late (3 of 3 models)",)}
    entries = [
        made_up_entry("x", 0.5).model_copy(
            update={
                "name": name,
                "scores": tuple(each for each in made_up_entry("x", None if math.isnan(mean) else mean).scores[:1]),
                "date": datetime.date(2026, 1, dates[name]),
                "baseline": name == "base",
                "marks": marks.get(name, ()),
            }
        )
        for name, mean in means.items()
    ]
    entries = [
        entry.model_copy(
            update={"scores": tuple(score.model_copy(update={"mean": means[entry.name]}) for score in entry.scores)}
        )
        for entry in entries
    ]
    for order in (entries, entries[::-1]):
        board = Board(made_up_track(tolerance=0.005), tuple(order))
        placed = [(place, entry.name) for place, entry in board.ranked()]
        assert placed == [
            (None, "base"),
            (None, "copy"),
            (1, "early"),
            (1, "late"),
            (1, "close"),
            (4, "next"),
            (None, "none"),
        ]
        method, baseline = board.leading
        assert method is not None and baseline is not None and (method.name, baseline.name) == ("early", "base")
    exact = [(place, entry.name) for place, entry in Board(made_up_track(tolerance=0.0), tuple(entries)).ranked()]
    assert [name for place, name in exact if place] == ["late", "close", "early", "next"]
    assert Board(made_up_track(), tuple(entries[3:5])).leading[0] is None


def test_what_an_entry_does_not_tell_is_missing_in_every_table_and_not_zero() -> None:
    board = made_up_boards()[1]
    told = board.table().groupby("entry")[[*CONDITIONS]].first().astype(object)
    assert told.loc["half"].tolist()[:4] == ["weights", True, 20.0, 0.25]
    assert told.loc["layer-statistics"].tolist() == ["statistics", False, 0.0, 0.25, 0]
    assert told.loc["one-seed"].isna().all()
    (line,) = [line for line in drawn(board_tables(board)).split("\n") if "one-seed" in line and "0." not in line]
    assert line.split() == ["one-seed", *"–––––"]


def drawn(tables: Iterable[Table | str]) -> str:
    """Tables as a terminal shows them."""
    console = Console(width=80, file=io.StringIO())
    with console.capture() as shown:
        for each in tables:
            console.print(each)
    return shown.get()


def test_one_catastrophe_does_not_take_all_the_axis() -> None:
    board = made_up_boards()[1]
    for target in ZOOS:
        assert axis(board, METRICS[0], target).low == 0
    bars = [cell.bar for row in rows(board) for of in row.cells.values() for cell in of.values()]
    assert [bar for bar in bars if bar and not 0 <= bar[0] <= bar[1] <= bar[2] <= 100] == []
    assert None in bars
    assert ScoreAxis(1.0, 1.0).share(1.0) == 0.5
    assert axis(Board(made_up_track(), ()), METRICS[0], ZOOS[0]).share(0.3) == 0.5


def test_the_same_boards_give_the_same_bytes_and_replace_what_was(site_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    write_site([Board(made_up_track("another"), ())], folder)
    write_site(made_up_boards(), folder)
    files = {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    assert files == {
        file.relative_to(site_folder): file.read_bytes() for file in site_folder.rglob("*") if file.is_file()
    }


@pytest.mark.parametrize("stranger", [".git/HEAD", "CNAME", "index.html", "notes/index.html"])
def test_what_is_not_ours_stays(tmp_path: Path, stranger: str) -> None:
    file = tmp_path / "site" / stranger
    if stranger != "index.html":
        write_site([], tmp_path / "site")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("<h1>mine</h1>")
    with pytest.raises(InputError, match="would be lost"):
        write_site([], tmp_path / "site")
    assert file.read_text() == "<h1>mine</h1>"


def test_a_site_that_fails_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "site"
    write_site([], folder)
    monkeypatch.setattr("zoobench.leaderboard.site.write.entry_page", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_site(made_up_boards(), folder)
    assert sorted(path.name for path in folder.iterdir()) == [MARK, "index.html", "script.js", "style.css"]
    assert list(tmp_path.iterdir()) == [folder]
    with pytest.raises(InputError, match="is a file"):
        write_site([], folder / "style.css")


@pytest.mark.parametrize("name", ["index.html", "Entries.json"])
def test_no_entry_takes_the_place_of_a_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="choose another name"):
        write_site([Board(made_up_track(), (made_up_entry(name, 0.5),))], tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_words() -> None:
    assert metric_words("r2:test_accuracy") == "R² of test accuracy"
    assert metric_words("after_1") == "after 1"
    assert [size(1), size(123_456), size(999_999), size(2 * 10**13)] == ["1 B", "123.5 kB", "1.0 MB", "20.0 TB"]
    assert one_line("a\nb\u202e") == r"a\nb\u202e"


def test_marks_and_fresh_scores_are_shown(tmp_path: Path) -> None:
    one, other = made_up_entry("sane", 0.8), made_up_entry("mine", 0.7)
    fresh = Fresh(seed=1_234_567, date=datetime.date(2026, 5, 1), scores=made_up_entry("sane", 0.625).scores[:1])
    marked = other.model_copy(update={"marks": (f"copy of sane (3 of 3 models) {HOSTILE}",)})
    board = Board(made_up_track(), (one.model_copy(update={"fresh": fresh}), marked))
    write_site([board], tmp_path / "site")
    table, page, overview = (
        (tmp_path / "site" / name).read_text()
        for name in ("property-id/index.html", "property-id/mine/index.html", "index.html")
    )
    for text in (table, page):
        assert "copy of sane (3 of 3 models)" in text and HOSTILE not in text
    assert f">{rows(board)[0].fresh:.3f}<" in table and ">recorded<" in table
    assert "seed 1234567" in (tmp_path / "site" / "property-id" / "sane" / "index.html").read_text()
    assert "property-id/sane/index.html" in overview and "property-id/mine/index.html" not in overview
    write_site([Board(made_up_track(), (one,))], tmp_path / "site")
    assert "Fresh" not in (tmp_path / "site" / "property-id" / "index.html").read_text()
