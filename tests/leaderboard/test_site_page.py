"""The leaderboard's pages, opened in a browser."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
from helpers.browsing import unfold, violations, watched
from helpers.made_up_boards import HOSTILE, LONG, METRICS, ZOOS, made_up_boards

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

KINDS = {
    "index": "index.html",
    "track": "property-id/index.html",
    "single": "property-cross-dataset/index.html",
    "empty": "property-paper/index.html",
    "entry": "property-id/sane/index.html",
    "hostile": "property-id/hostile/index.html",
    "long": "property-id/long/index.html",
    "scoreless": "property-id/scoreless/index.html",
}
TRACK = KINDS["track"]
BOARD = made_up_boards()[1]
ALL = len(BOARD.entries)
BASELINES = sum(entry.baseline for entry in BOARD.entries)


@pytest.fixture
def page(browser: Browser, site_folder: Path) -> Iterator[Page]:
    """A page that asks for files of the site alone."""
    with watched(browser, f"{site_folder.as_uri()}/") as page:
        yield page


@pytest.fixture
def track(page: Page, site_folder: Path) -> Page:
    """The full track, opened as a file."""
    page.goto((site_folder / TRACK).as_uri())
    return page


def column(page: Page, key: str) -> list[str]:
    """What the rows that are shown say in the shown column of a key."""
    script = """(key) => {
        const headers = [...document.querySelectorAll('#entries thead th')];
        const place = headers.findIndex((header) => header.dataset.key === key && !header.hidden);
        return [...document.querySelectorAll('#entries tbody tr')].filter((row) => row.offsetHeight)
            .map((row) => row.cells[place].innerText.trim().split('\\n')[0]);
    }"""
    return page.evaluate(script, key)


def header(page: Page, key: str) -> str:
    """Which way the shown column of a key is sorted."""
    return page.locator(f"#entries th[data-key='{key}']:not([hidden])").get_attribute("aria-sort") or ""


def press(page: Page, key: str) -> None:
    page.locator(f"#entries th[data-key='{key}']:not([hidden]) button").click()


def numbers(texts: list[str]) -> list[float]:
    return [float(text.split(" ")[0].replace("−", "-").replace(",", "")) for text in texts if text != "–"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (375, "dark")])
def test_every_page_fits_and_can_be_read_by_all(
    page: Page, site_folder: Path, kind: str, width: int, theme: Literal["light", "dark"]
) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=theme)
    page.goto((site_folder / KINDS[kind]).as_uri())
    unfold(page)
    assert page.locator("h1").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert violations(page) == []


def test_every_page_opens_from_a_disk(page: Page, site_folder: Path) -> None:
    for file in sorted(site_folder.rglob("*.html")):
        page.goto(file.as_uri())
        assert page.get_by_role("button", name="Switch to dark").is_visible(), "the script ran"
        assert page.evaluate("getComputedStyle(document.querySelector('header')).maxWidth") == "1280px", "in style"
        assert page.locator("script").count() == 1
        assert page.locator("img, iframe, style, [onerror]").count() == 0
        unique = "(() => { const ids = [...document.querySelectorAll('[id]')].map(e => e.id); "
        assert page.evaluate(unique + "return new Set(ids).size == ids.length })()")


def test_the_site_works_from_a_host_too(browser: Browser, site_folder: Path) -> None:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site_folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/"
    try:
        with watched(browser, url) as page:
            page.goto(f"{url}property-id/?baselines=no")
            assert len(column(page, "method")) == ALL - BASELINES
            page.locator("#entries tbody a").first.click()
            assert page.locator("h1").inner_text() == BOARD.entries[0].method
            page.go_back()
            assert len(column(page, "method")) == ALL - BASELINES
    finally:
        server.shutdown()
        server.server_close()


def test_one_walks_from_the_overview_to_an_entry_and_back(page: Page, site_folder: Path) -> None:
    page.goto((site_folder / "index.html").as_uri())
    page.get_by_role("link", name=BOARD.track.title).click()
    page.get_by_role("link", name=HOSTILE, exact=True).click()
    assert page.locator("h1").inner_text() == HOSTILE
    page.get_by_role("navigation").get_by_role("link", name=BOARD.track.title).click()
    assert page.url == (site_folder / TRACK).as_uri()


def test_it_sorts_by_mouse_and_by_key(track: Page) -> None:
    assert header(track, "rank") == "ascending"
    press(track, "mean")
    assert header(track, "mean") == "descending", "the best first"
    means = numbers(column(track, "mean"))
    assert means == sorted(means, reverse=True)
    assert column(track, "mean")[-2:] == ["–", "–"]
    track.keyboard.press("Enter")
    assert header(track, "mean") == "ascending"
    assert numbers(column(track, "mean")) == sorted(means)
    assert column(track, "mean")[-2:] == ["–", "–"]
    track.locator("th[data-key=method] button").focus()
    track.keyboard.press("Space")
    assert header(track, "method") == "ascending"
    assert header(track, "mean") == ""
    assert column(track, "method")[0] == HOSTILE
    press(track, "parameters")
    assert numbers(column(track, "parameters")) == [0, 1_234_567]
    assert track.locator("#entries [aria-sort]").count() == 1


def test_it_shows_rows_that_hold_all_words_with_or_without_baselines(track: Page) -> None:
    count = track.locator("#count")
    assert count.inner_text() == f"{ALL} of {ALL} entries"
    track.get_by_label("Baselines").uncheck()
    assert count.inner_text() == f"{ALL - BASELINES} of {ALL} entries"
    assert not [method for method in column(track, "method") if "baseline" in method]
    track.get_by_label("Filter").fill("NOETHER again")
    assert column(track, "method") == ["SANE again"]
    assert count.inner_text() == f"1 of {ALL} entries"
    track.get_by_label("Filter").fill("layer-statistics")
    assert column(track, "method") == []
    track.get_by_label("Baselines").check()
    assert column(track, "method") == ["layer-statistics baseline"]
    track.get_by_label("Filter").fill("number 49")
    assert column(track, "method") == [LONG], "of all authors, not of those that are named"


def test_it_hides_by_access_by_models_run_and_by_cost_and_with_these_who_does_not_tell(track: Page) -> None:
    assert column(track, "access").count("–") == ALL - 4 == column(track, "fit_core_seconds").count("–")
    names = {"SANE": "sane", "half": "Half the targets", "statistics": "layer-statistics baseline", "images": HOSTILE}

    def shown(*those: str) -> bool:
        return sorted(column(track, "method")) == sorted(names[each] for each in those)

    access, runs, fit = (track.get_by_label(label) for label in ("Access", "Runs models", "Fit, core-seconds at most"))
    access.select_option("weights only")
    assert shown("SANE", "half")
    access.select_option("statistics at most")
    assert shown("SANE", "half", "statistics")
    runs.select_option("no")
    assert shown("SANE", "statistics")
    fit.fill("20")
    assert shown("statistics"), "what learns nothing costs nothing"
    track.reload()
    assert shown("statistics") and fit.input_value() == "20", "the address holds them"
    access.select_option("any")
    runs.select_option("any")
    assert shown("half", "statistics"), "20 is within 20, and 20.25 is not"
    fit.fill("")
    answers = track.get_by_label("Answers, core-seconds at most")
    answers.fill("0.2")
    assert shown(), "each took a quarter of a second"
    answers.fill("0.25")
    assert shown(*names)
    answers.fill("")
    assert len(column(track, "method")) == ALL and "?" not in track.url
    press(track, "access")
    told = [each for each in column(track, "access") if each != "–"]
    assert told == ["weights", "weights", "statistics", "images"] == column(track, "access")[:4]


def test_the_metric_chooses_the_columns(track: Page) -> None:
    before = column(track, f"on:{ZOOS[0]}")
    press(track, f"on:{ZOOS[0]}")
    track.get_by_label("Metric").select_option(METRICS[1])
    shown = column(track, f"on:{ZOOS[0]}")
    assert shown != before
    assert numbers(shown) == sorted(numbers(shown), reverse=True), "it stays sorted by the target"
    assert track.locator("#entries thead th:visible").count() == 14
    assert track.locator("th[data-key=mean]:visible").inner_text().startswith("τ of test accuracy")
    best = max(entry.of_metric(METRICS[1])[ZOOS[0]].mean or -1 for entry in BOARD.entries if entry.scores)
    assert numbers(shown)[0] == pytest.approx(best, abs=5e-4)


def test_the_address_holds_what_is_shown(track: Page, browser: Browser, site_folder: Path) -> None:
    start = track.url
    track.get_by_label("Filter").fill('noether & "=')
    track.get_by_label("Filter").fill("noether")
    track.get_by_label("Metric").select_option(METRICS[2])
    track.get_by_label("Baselines").uncheck()
    press(track, "date")
    press(track, "date")
    url = track.url
    seen = [column(track, key) for key in ("method", "mean", "date")]
    with watched(browser, f"{site_folder.as_uri()}/") as other:
        other.goto(url)
        assert [column(other, key) for key in ("method", "mean", "date")] == seen
        assert header(other, "date") == "ascending"
        assert other.get_by_label("Filter").input_value() == "noether"
        assert other.get_by_label("Metric").input_value() == METRICS[2]
        assert not other.get_by_label("Baselines").is_checked()
        assert other.url == url
        other.locator("#entries tbody tr:visible a").first.click()
        other.go_back()
        assert [column(other, key) for key in ("method", "mean", "date")] == seen
    track.get_by_label("Filter").fill("")
    track.get_by_label("Metric").select_option(METRICS[0])
    track.get_by_label("Baselines").check()
    press(track, "rank")
    assert track.url == start, "what is as at first is not told"


@pytest.mark.parametrize(
    "query",
    [
        "metric=__proto__&sort=constructor&order=up&access=9&runs_models=&fit_core_seconds=few",
        "filter=<img src=x onerror=alert(1)>",
    ],
)
def test_an_address_that_makes_no_sense_does_no_harm(page: Page, site_folder: Path, query: str) -> None:
    page.goto(f"{(site_folder / TRACK).as_uri()}?{query}")
    assert header(page, "rank") == "ascending"
    assert page.get_by_label("Metric").input_value() == METRICS[0]
    assert len(column(page, "method")) == (1 if "filter" in query else ALL)


@pytest.mark.parametrize("may_use_the_clipboard", [True, False])
def test_the_link_and_the_command_are_copied(track: Page, site_folder: Path, may_use_the_clipboard: bool) -> None:
    if not may_use_the_clipboard:  # as from a plain http host
        track.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
        track.reload()
    track.get_by_label("Baselines").uncheck()
    track.get_by_role("button", name="Copy link").click()
    track.get_by_text("Copied").wait_for()
    url = track.url
    track.get_by_label("Filter").focus()
    track.keyboard.press("Control+V")
    assert track.get_by_label("Filter").input_value() == url
    track.goto((site_folder / KINDS["hostile"]).as_uri())
    track.get_by_role("button", name="Copy command").click()
    track.get_by_text("Copied").wait_for()
    track.goto((site_folder / TRACK).as_uri())
    track.get_by_label("Filter").focus()
    track.keyboard.press("Control+V")
    assert track.get_by_label("Filter").input_value().startswith(f"echo '{HOSTILE}'\\nrm")


def test_the_theme_is_kept_from_page_to_page(track: Page, site_folder: Path) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    light = track.evaluate(background)
    track.get_by_role("button", name="Switch to dark").click()
    dark = track.evaluate(background)
    assert light != dark
    track.goto((site_folder / "index.html").as_uri())
    assert track.evaluate(background) == dark


def test_paper_holds_all_rows_and_no_controls(track: Page) -> None:
    track.get_by_label("Filter").fill("nothing holds this")
    assert column(track, "method") == []
    track.emulate_media(media="print")
    assert len(column(track, "method")) == ALL
    assert not track.locator("#controls").is_visible()
    assert not track.get_by_role("button", name="Switch to dark").is_visible()
    assert track.pdf(format="A4").startswith(b"%PDF")


def test_without_a_script_the_table_is_whole(browser: Browser, site_folder: Path) -> None:
    with watched(browser, f"{site_folder.as_uri()}/", java_script_enabled=False) as page:
        page.goto((site_folder / TRACK).as_uri())
        rows = page.locator("#entries tbody tr")
        assert rows.count() == ALL
        assert rows.first.locator("td:visible, th:visible").count() == 14
        assert not page.locator("#controls").is_visible()
        assert rows.first.locator("td.mean:visible").inner_text() == f"{BOARD.entries[0].mean(METRICS[0]):.3f}"


def test_intervals_are_told_and_drawn(track: Page) -> None:
    cell = track.locator("#entries tbody tr").first.locator("td.score:visible").first
    assert "95 % interval [0." in cell.inner_text().replace("\n", " ")
    box = cell.locator("svg .reach").bounding_box()
    assert box is not None and box["width"] > 1
    plot = track.locator("figure svg[role=img]")
    assert plot.locator("text", has_text=HOSTILE[:20]).count() == 1
    assert plot.evaluate("svg => getComputedStyle(svg.querySelector('text')).fill == getComputedStyle(svg).color")
    assert plot.evaluate("svg => [...svg.querySelectorAll('path')].filter(p => p.getTotalLength() > 20).length") > 4
