"""A browser for tests, with a mouse and keys."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Final

from webnn.browsers.devtools import Page

__all__ = ["Browser", "find_browser"]

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "chrome")


def find_browser() -> str | None:
    """The browser's program, if there is one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser(Page):
    """One page in one browser, with a profile in `folder`; a context manager."""

    def __init__(self, program: str, folder: Path, *, dark: bool = False, width: int = 1300, height: int = 850) -> None:
        scheme = ["--blink-settings=preferredColorScheme=0"] if dark else []
        super().__init__(program, f"--window-size={width},{height}", *scheme, profile=folder)

    def middle(self, selector: str) -> tuple[float, float]:
        """The middle of an element on the screen."""
        box: dict[str, float] = self.value(
            f"document.querySelector({json.dumps(selector)}).getBoundingClientRect().toJSON()"
        )
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def resize(self, width: int, height: int, *, dark: bool = False) -> None:
        """Make the window so large, in points of a phone where it is narrow, and light or dark."""
        phone = width < 700
        scale = 2 if phone else 1
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=phone
        )
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)

    def click(self, x: float, y: float) -> None:
        """Press and release the mouse."""
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag the mouse."""
        self.call("Input.dispatchMouseEvent", type="mousePressed", x=start[0], y=start[1], button="left", buttons=1)
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=end[0], y=end[1], button="left", buttons=1)
        self.call("Input.dispatchMouseEvent", type="mouseReleased", x=end[0], y=end[1], button="left")

    def scroll(self, x: float, y: float, by: float) -> None:
        """Turn the wheel."""
        self.call("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=by)

    def key(self, key: str, text: str = "") -> None:
        """Press and release a key, which may give a character."""
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        for character in text:
            self.key(character, character)

    def screenshot(self, path: Path) -> None:
        """Keep what is to be seen."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))
