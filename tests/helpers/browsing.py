"""Pages, opened in a browser that is watched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NO_LOADS = {"resultTypes": ["violations"], "preload": False}  # a page's policy lets axe fetch nothing either


@contextmanager
def watched(browser: Browser, allowed: str, **options: Any) -> Iterator[Page]:
    """A page; its errors, and requests to addresses that do not begin as `allowed` says, fail the test."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, "color_scheme": "light", **options})
    page = context.new_page()
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("dialog", lambda dialog: faults.append(f"dialog: {dialog.message}"))
    page.on("request", lambda request: None if request.url.startswith(allowed) else faults.append(request.url))
    yield page
    context.close()
    assert not faults


def violations(page: Page) -> list[str]:
    """Problems that axe finds in a page: rules, each with the elements that break it."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, options=NO_LOADS).response["violations"]
    return [f"{each['id']}: {[node['html'][:200] for node in each['nodes']]}" for each in found]


def unfold(page: Page) -> None:
    """Open all folded elements."""
    page.evaluate("document.querySelectorAll('details').forEach((each) => (each.open = true))")
