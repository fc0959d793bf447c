"""A headless Chromium spoken to by the DevTools protocol over two pipes; nothing but the standard library."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")


def found() -> str | None:
    """Path of a Chromium, None if there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Tab:
    """One page; everything that it logs and requests is kept."""

    def __init__(self, to: Any, answers: Any) -> None:
        self._to, self._answers, self._last, self._session = to, answers, 0, ""
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The answer to a command; events that come before it are kept."""
        self._last += 1
        session = {"sessionId": self._session} if self._session else {}
        self._to.write(
            json.dumps({"id": self._last, "method": method, "params": params} | session).encode() + b"\0"
        )
        while (message := self._read()).get("id") != self._last:
            self.events.append(message)
        assert "error" not in message, message["error"]
        return dict(message["result"])

    def open(self, page: Path | str, width: int = 1200, **features: str) -> None:
        """Load a page at a width in pixels, with media features such as ``prefers-color-scheme``."""
        self.events.clear()
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        media = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.call("Emulation.setEmulatedMedia", features=media)
        self.call("Page.navigate", url=page if isinstance(page, str) else page.resolve().as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._read())

    def value(self, expression: str) -> Any:
        """What JavaScript makes of an expression; promises are waited for."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, expression: str, seconds: float = 20.0) -> Any:
        """Wait until an expression is true; its value."""
        return self.value(
            f"new Promise((yes, no) => {{ const end = performance.now() + {1000 * seconds};"
            f"(function look() {{ const v = ({expression}); if (v) yes(v);"
            f"else if (performance.now() > end) no(new Error('timeout'));"
            f"else setTimeout(look, 40); }})(); }})"
        )

    def errors(self) -> list[str]:
        """Exceptions, console errors and everything that the log calls an error."""
        found = []
        for event in self.events:
            name, params = event.get("method"), event.get("params", {})
            wrong = name == "Runtime.exceptionThrown"
            wrong |= name == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert")
            wrong |= name == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning")
            if wrong:
                found.append(json.dumps(params)[:600])
        return found

    def requests(self) -> list[str]:
        """Addresses of everything that was asked for, but ``data:``."""
        sent = [
            e["params"]["request"]["url"]
            for e in self.events
            if e.get("method") == "Network.requestWillBeSent"
        ]
        return [url for url in sent if not url.startswith("data:")]

    def _read(self) -> dict[str, Any]:
        text = bytearray()
        while (byte := self._answers.read(1)) != b"\0":
            assert byte, "the browser is gone"
            text += byte
        return dict(json.loads(text))


@contextmanager
def browser(profile: Path) -> Iterator[Tab]:
    """A Chromium with one tab, which ends with the context.

    Args:
        profile: Empty folder for what it keeps.
    """
    path = found()
    assert path
    down, up = os.pipe(), os.pipe()
    command = [path, *FLAGS, f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"]
    process = subprocess.Popen(
        ["bash", "-c", f'exec "$@" 3<&{down[0]} 4>&{up[1]}', "bash", *command],
        pass_fds=(down[0], up[1]),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(down[0])
    os.close(up[1])
    with os.fdopen(down[1], "wb", buffering=0) as to, os.fdopen(up[0], "rb") as answers:
        try:
            yield Tab(to, answers)
        finally:
            process.terminate()
            process.wait(timeout=20)
