"""The page that shows a server, in a real browser."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import Boot
from harness import stats
from harness.browser import Browser
from harness.server import Server
from test_top import running

MARKUP = "/<script>document.title='broken'</script><img src=x onerror=\"document.title='broken'\">"
ROWS = "document.querySelectorAll('#{} tbody tr').length"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    made = Browser(tmp_path_factory.mktemp("browser"))
    yield made
    made.close()


@pytest.fixture
def server(boot: Boot) -> Server:
    options = {"stats_http": True, "memory_report": True, "socket_timeout": 60}
    return boot("slow:waits", processes=2, threads=2, stats="127.0.0.1:0", **options)


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Browser]:
    browser.console.clear()
    browser.size(1280, 900)
    browser.open(f"http://{address_of(server)}/")
    browser.until(ROWS.format("workers") + " === 2", "a row for each worker")
    yield browser
    # What the policy forbids is written there, and what fails in the script.
    assert browser.console == []
    browser.open("about:blank")


def address_of(server: Server) -> str:
    return "{}:{}".format(*stats.address(server))


def only(page: Browser, text: str) -> None:
    """Types into the filter."""
    page.evaluate(f"document.getElementById('filter').value = '{text}'")
    page.evaluate("document.getElementById('filter').dispatchEvent(new Event('input'))")


def test_browsers_get_the_page_and_its_policy(server: Server) -> None:
    address = f"http://{address_of(server)}/"
    for accept, kind in [("text/html,*/*", "text/html; charset=utf-8"), ("*/*", "application/json")]:
        asked = urllib.request.Request(address, headers={"Accept": accept})
        with urllib.request.urlopen(asked, timeout=10) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert answer.headers["Content-Type"] == kind
        assert ("script-src 'sha256-" in (policy or "")) == (kind != "application/json")


def test_it_shows_what_runs(page: Browser, server: Server) -> None:
    server.log.expect("waiting /<script>", "waiting /second")
    assert "rwsgi " in page.text("#server") and "serving · generation 1" in page.text("#about")
    assert page.evaluate("document.getElementById('requests').hidden")
    with running(server.address, MARKUP, "/second"):
        page.until(ROWS.format("requests") + " === 2", "the requests that run")
        # As text: neither of the two was run, and nothing but text has got into the row.
        row = page.text("#requests tbody")
        assert MARKUP in row and "POST" in row and "/second" in row
        assert page.evaluate("document.querySelectorAll('img, main script').length") == 0
        assert "broken" not in page.evaluate("document.title")
        assert "2 of 4" in page.text("#tiles")
        only(page, "SECOND")
        page.until(ROWS.format("requests") + " === 1", "the filter")
        assert "/second" in page.text("#requests tbody")
        only(page, "")
    page.until("document.getElementById('requests').hidden", "the requests to end")


def test_plots_have_points(page: Browser, server: Server) -> None:
    server.log.expect("waiting /x")
    assert server.request("/x", "POST", b"x").status == 200
    page.until(
        "Array.from(document.querySelectorAll('figure > svg path')).some(path => /L/.test(path.getAttribute('d')))"
    )
    assert page.evaluate("document.querySelectorAll('figure').length") == 4
    label = page.evaluate("document.querySelector('figure > svg').getAttribute('aria-label')")
    assert re.match(r"Requests a second: now all \S+", label)
    page.until("document.getElementById('tiles').innerText.includes('1 in all')", "the request in the sum")


def test_columns_sort(page: Browser) -> None:
    sort = "document.querySelector('#workers th[data-key=id]').getAttribute('aria-sort')"
    first = "document.querySelector('#workers tbody tr').cells[0].innerText"
    assert page.evaluate(sort) == "ascending" and page.evaluate(first) == "1"
    page.evaluate("document.querySelector('#workers th[data-key=id] button').click()")
    assert page.evaluate(sort) == "descending" and page.evaluate(first) == "2"


def test_stacks_at_a_click(page: Browser) -> None:
    page.evaluate("document.querySelector('#workers tbody button').click()")
    page.until("/worker 1|No stacks/.test(document.getElementById('frames').innerText)", "an answer")
    assert page.evaluate("document.activeElement.id") == "stacks-title"
    page.key("Escape", 27)
    page.until("document.getElementById('stacks').hidden", "the stacks to be closed")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Stacks of worker 1"


def test_a_server_that_goes_away_is_said_to_be(page: Browser, boot: Boot, server: Server) -> None:
    address = address_of(server)
    page.until("document.getElementById('state').innerText.startsWith('Live')")
    server.close()
    page.until("document.getElementById('state').innerText.startsWith('Lost since')")
    assert page.evaluate(ROWS.format("workers")) == 2, "what was shown stays"
    boot("slow:waits", processes=3, stats=address, stats_http=True).log.expect(stats.ENABLED)
    page.until("document.getElementById('state').innerText.startsWith('Live')")
    page.until(ROWS.format("workers") + " === 3", "the workers of the new server")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_and_can_be_read(page: Browser, width: int, dark: bool, tmp_path: Path) -> None:
    page.size(width, 800, dark)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
    # WCAG 2: 4.5 for text.
    contrast = """(() => {
        const light = colour => colour.match(/\\d+/g).slice(0, 3).map(part => part / 255)
            .map(part => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
            .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
        const behind = node => {
            const colour = getComputedStyle(node).backgroundColor;
            return colour !== 'rgba(0, 0, 0, 0)' ? colour : behind(node.parentElement);
        };
        const ratios = Array.from(document.querySelectorAll('h1, h2, p, dt, dd b, dd span, th, td, button, .axis'))
            .map(node => [light(getComputedStyle(node).color), light(behind(node))].sort((a, b) => b - a))
            .map(([bright, dim]) => (bright + 0.05) / (dim + 0.05));
        return Math.min(...ratios);
    })()"""
    assert page.evaluate(contrast) >= 4.5
    page.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 10_000
