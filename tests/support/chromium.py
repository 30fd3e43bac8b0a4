"""Chromium for tests of the page, driven by chromedriver over its HTTP interface."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)


class Browser:
    """One window. Scripts run in the page's own world, so they see what the page sees."""

    def __init__(self, driver: str, profile: Path, preferences: dict[str, Any]) -> None:
        self._driver = driver
        options = {
            "binary": CHROMIUM,
            "args": [*_FLAGS, f"--user-data-dir={profile}"],
            "prefs": preferences,
        }
        wanted = {
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            "unhandledPromptBehavior": "ignore",
        }
        made = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{made['sessionId']}"

    def open(self, page: Path, fragment: str = "") -> None:
        """Load a file; returns when it is complete."""
        self._post("/url", {"url": page.as_uri() + fragment})

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script as the body of a function of `arguments`, and return what it returns."""
        return self._post("/execute/sync", {"script": script, "args": list(arguments)})

    def keys(self, text: str) -> None:
        """Press keys, one after the other, wherever the focus is."""
        presses = [{"type": kind, "value": key} for key in text for kind in ("keyDown", "keyUp")]
        self._post("/actions", {"actions": [{"type": "key", "id": "keys", "actions": presses}]})

    def resize(self, width: int, height: int, *, dark: bool = False) -> None:
        """Give the page a size in px, and a colour scheme."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.devtools("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.devtools("Emulation.setEmulatedMedia", {"features": [scheme]})

    def new_tab(self) -> str:
        """Open a further tab, go there, and return its handle."""
        handle = str(self._post("/window/new", {"type": "tab"})["handle"])
        self.switch(handle)
        return handle

    def tab(self) -> str:
        """Return the handle of the tab that scripts and keys go to."""
        return str(self._call("GET", self._session + "/window"))

    def switch(self, handle: str) -> None:
        """Go to a tab."""
        self._post("/window", {"handle": handle})

    def close_tab(self) -> None:
        """Close the tab; the next call has to be `switch`."""
        self._call("DELETE", self._session + "/window")

    def devtools(self, command: str, parameters: dict[str, Any]) -> Any:
        """Run a command of the DevTools protocol."""
        return self._post("/goog/cdp/execute", {"cmd": command, "params": parameters})

    def picture(self, path: Path) -> None:
        """Save what the window shows as PNG."""
        found = self.devtools("Page.captureScreenshot", {"format": "png"})
        path.write_bytes(base64.b64decode(found["data"]))

    def complaints(self) -> list[str]:
        """Return what the console has said since the last call: errors, CSP violations."""
        return [entry["message"] for entry in self._post("/se/log", {"type": "browser"})]

    def requests(self) -> list[str]:
        """Return the addresses that pages asked for since the last call, `data:` left out."""
        found = []
        for entry in self._post("/se/log", {"type": "performance"}):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.append(message["params"]["request"]["url"])
        # those of the browser's own start page are not the page's
        return [each for each in found if not each.startswith(("data:", "chrome"))]

    def close(self) -> None:
        """End the session, the browser with it."""
        with suppress(OSError):
            self._call("DELETE", self._session)

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        return self._call("POST", self._session + path, body)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._driver + path, content, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=120) as response:
                return json.load(response)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"]) from None


@contextmanager
def browsing(folder: Path, preferences: dict[str, Any] | None = None) -> Iterator[Browser]:
    """Start chromedriver and one browser with a fresh profile in `folder`, and end both."""
    assert DRIVER is not None
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    process = subprocess.Popen(
        [DRIVER, "--port=0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )
    try:
        assert process.stdout is not None
        found = None
        while found is None:
            line = process.stdout.readline()
            assert line, "chromedriver did not start"
            found = re.search(r"started successfully on port (\d+)", line)
        browser = Browser(f"http://127.0.0.1:{found[1]}", folder / "profile", preferences or {})
        try:
            yield browser
        finally:
            browser.close()
    finally:
        process.terminate()
        process.wait(timeout=20)
