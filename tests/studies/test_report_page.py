"""The report of an ablation study, opened in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
from helpers.browsing import unfold, violations, watched
from helpers.made_up_report import HOSTILE, PEER

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture
def page(browser: Browser, report_folder: Path) -> Iterator[Page]:
    """The report, opened as a file; it asks for itself alone."""
    url = (report_folder / "report.html").as_uri()
    with watched(browser, url) as page:
        page.goto(url)
        yield page


def column(page: Page, table: str, place: int) -> list[str]:
    """The texts of a table's first body, in a column, from the rows that are shown."""
    script = """([table, place]) => [...document.querySelector(table).tBodies[0].rows]
        .filter((row) => !row.hidden).map((row) => row.cells[place].textContent.trim())"""
    return page.evaluate(script, [table, place])


def test_the_page_shows_everything_inert(page: Page) -> None:
    assert page.title().startswith("What a zoo is made of")
    assert page.locator("h1").count() == 1
    assert page.locator("script").count() == 1
    assert page.locator("img, iframe, link, b[id]").count() == 0
    assert page.locator("th", has_text=HOSTILE).count() > 3
    # legends: of the curves, and against epochs: ID, OOD, and of other architectures
    assert page.locator("svg text", has_text='_peer <b id="a">&</b>').count() == 5
    assert page.locator(".badge").count() == 12
    marked = page.locator("td.id").all_inner_texts()
    assert marked and all("ID" in text for text in marked)


def test_every_plot_is_drawn_and_named(page: Page) -> None:
    plots = page.locator("svg[role=img]")
    assert plots.count() == page.locator("svg").count() == 3
    for plot in plots.all():
        box = plot.bounding_box()
        assert box is not None and min(box["width"], box["height"]) > 100
        name = plot.get_attribute("aria-labelledby")
        assert plot.locator(f"title#{name}").count() == 1
        lengths = plot.evaluate("svg => [...svg.querySelectorAll('path')].filter(p => p.getTotalLength() > 20).length")
        assert lengths > 4
        assert plot.evaluate("svg => getComputedStyle(svg.querySelector('text')).fill == getComputedStyle(svg).color")
    unique = "(() => { const ids = [...document.querySelectorAll('[id]')].map(e => e.id); "
    assert page.evaluate(unique + "return new Set(ids).size == ids.length })()")
    missing = """[...document.querySelectorAll('[clip-path]')]
        .filter((e) => !document.querySelector(e.getAttribute('clip-path').slice(4, -1))).length"""
    assert page.evaluate(missing) == 0


def test_tables_sort_by_click_and_by_key(page: Page) -> None:
    table = "#all-measurements"
    header = page.locator(f"{table} thead th", has_text="mean")
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "ascending"
    assert numbers(column(page, table, 6)) == sorted(numbers(column(page, table, 6)))
    assert column(page, table, 6)[-1] == "–"
    header.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert header.get_attribute("aria-sort") == "descending"
    assert numbers(column(page, table, 6)) == sorted(numbers(column(page, table, 6)), reverse=True)
    assert column(page, table, 6)[-1] == "–"
    method = page.locator(f"{table} thead th", has_text="method")
    method.get_by_role("button").focus()
    page.keyboard.press("Space")
    assert method.get_attribute("aria-sort") == "ascending"
    assert header.get_attribute("aria-sort") is None
    assert list(dict.fromkeys(column(page, table, 1))) == [PEER, "layer_statistics", "random_init", "sane"]


def numbers(texts: list[str]) -> list[float]:
    """What is a number among them."""
    return [float(text.replace("−", "-")) for text in texts if text != "–"]


def test_sorting_leaves_baselines_below_the_divider(page: Page) -> None:
    table = page.locator("table:has(.divider)").first
    table.locator("thead button").nth(1).click()
    bodies = table.locator("tbody")
    assert bodies.nth(1).locator("tr").first.get_attribute("class") == "divider"
    scores = bodies.nth(0).locator("td:nth-child(2)").evaluate_all("cells => cells.map(c => +c.dataset.value)")
    assert scores == sorted(scores)


def test_the_filter_shows_rows_that_hold_all_words(page: Page) -> None:
    everything = len(column(page, "#all-measurements", 0))
    page.get_by_label("Show rows that hold").fill("GENERATION kept sane")
    assert 0 < len(column(page, "#all-measurements", 0)) < everything
    assert set(column(page, "#all-measurements", 5)) == {"kept mean", "kept best"}
    assert page.locator("#shown").inner_text().endswith(f"of {everything} rows")
    page.get_by_label("Show rows that hold").fill("")
    assert len(column(page, "#all-measurements", 0)) == everything


def test_the_toggle_overrides_the_theme(page: Page) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.get_by_role("button", name="Switch to dark").click()
    dark = page.evaluate(background)
    assert light != dark
    page.emulate_media(color_scheme="dark")
    page.get_by_role("button", name="Switch to light").click()
    assert page.evaluate(background) == light


def test_a_phone_shows_the_page_without_horizontal_scroll(page: Page) -> None:
    page.set_viewport_size({"width": 375, "height": 800})
    unfold(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    assert page.evaluate("[...document.querySelectorAll('.scroll')].some((each) => each.scrollWidth > 375)")


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (375, "dark")])
def test_it_can_be_read_by_all(page: Page, width: int, theme: Literal["light", "dark"]) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=theme)
    unfold(page)
    assert violations(page) == []
