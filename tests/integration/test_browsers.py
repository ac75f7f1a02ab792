"""The driver of browsers, with any browser; what needs WebNN is in `tests/conformance/chromium`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import find_browser
from tests.direct import direct_builder
from webnn.browsers.chromium import Chromium
from webnn.browsers.devtools import Page
from webnn.errors import NotSupportedError, OperationError
from webnn.formats.javascript.page import save_html

needs_browser = pytest.mark.skipif(find_browser() is None, reason="no browser here: chromium or google-chrome")


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with Page(find_browser() or "") as opened:
        yield opened


@needs_browser
def test_a_value_that_is_promised_is_awaited(page: Page) -> None:
    assert page.value("Promise.resolve([1, 'two'])") == [1, "two"]


@needs_browser
def test_what_the_page_throws_is_raised(page: Page) -> None:
    with pytest.raises(OperationError, match="browser: RangeError: too far"):
        page.value("(() => { throw new RangeError('too far'); })()")


@needs_browser
def test_errors_in_the_console_are_complaints(page: Page) -> None:
    before = len(page.complaints)
    page.value("console.log('fine'); console.error('not fine', 3)")
    assert page.complaints[before:] == ["not fine 3"]


@needs_browser
def test_a_long_message_goes_both_ways(page: Page) -> None:
    assert page.value(f"{'a' * 5_000_000!r} + 'b'") == "a" * 5_000_000 + "b"


@needs_browser
def test_a_page_that_does_not_answer_in_time_is_reported() -> None:
    with (
        Page(find_browser() or "", patience=2.0) as page,
        pytest.raises(OperationError, match="no answer in 2 seconds"),
    ):
        page.value("new Promise(() => {})")


@needs_browser
def test_a_page_that_crashes_is_reported() -> None:
    with Page(find_browser() or "") as page, pytest.raises(OperationError, match="crashed"):
        page.call("Page.crash")


@needs_browser
def test_a_browser_without_webnn_is_refused() -> None:
    try:
        with Chromium(find_browser() or "") as chromium:
            assert "abs" in chromium.limits
    except NotSupportedError as error:
        assert "WebNN" in str(error)  # noqa: PT017  # which of both it is depends on the browser


@needs_browser
def test_a_page_of_a_graph_says_what_to_do_where_there_is_no_webnn(tmp_path: Path) -> None:
    builder = direct_builder()
    path = tmp_path / "page.html"
    save_html(builder.build({"y": builder.abs(builder.input("x", (2,), "float32"))}), path)
    with Page(find_browser() or "") as page:
        page.open(path.as_uri())
        page.value("delete Navigator.prototype.ml")
        page.value("document.querySelector('button').click()")
        result = page.value("globalThis.result")
        shown = page.value(
            "[document.getElementById('status').textContent, document.getElementById('refusal').textContent]"
        )
        assert page.complaints == []
    assert not result["ok"]
    assert shown[0] == "It failed."
    assert "this browser has no WebNN, or it is off; in Chrome and Edge it is chrome://flags/#web-machine" in shown[1]


def test_a_program_that_is_not_there_is_refused() -> None:
    with pytest.raises(NotSupportedError, match="'no-such-browser' is not a program"):
        Page("no-such-browser")


def test_a_program_that_ends_is_reported_with_its_last_words() -> None:
    with (
        pytest.raises(OperationError, match=r"it has ended \(exit status 2\): Try .*-h"),
        Page(sys.executable),
    ):
        pass
