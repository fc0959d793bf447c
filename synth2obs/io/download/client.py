"""Requests to an archive: not too many a second, with limits of time, and every failure one of ours."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from synth2obs.io.download.pace import NotGiven, Pace, Patience, TryAgain
from synth2obs.io.download.target import Target

CHUNK = 1 << 18
"""Bytes that are asked of a connection at once."""

CONNECT = 15.0
"""Longest time in seconds to wait for a connection."""

REFUSALS = {
    401: "the archive wants a login (401)",
    403: "the archive does not give it to everyone (403)",
    404: "the archive has no such file (404)",
    410: "the archive no longer has this file (410)",
}


class Connections(HTTPAdapter):
    """Connections with a pace, also for libraries that set no limits of their own.

    Args:
        pace: How often, and how long to wait.
        patience: For what the adapter repeats by itself; None for nothing.
    """

    def __init__(self, pace: Pace, patience: Patience | None = None) -> None:
        super().__init__(max_retries=patience or 0)
        self.pace = pace
        self.next = 0.0

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """The answer to a request, when it is its turn."""
        time.sleep(max(0.0, self.next - time.monotonic()))
        self.next = time.monotonic() + 1.0 / self.pace.rate
        kwargs["timeout"] = (min(CONNECT, self.pace.timeout), self.pace.timeout)
        return super().send(request, *args, **kwargs)


class Client:
    """One connection at a time, no more requests a second than agreed.

    Args:
        pace: How often, and how long to wait.
    """

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self.session = requests.Session()
        self.session.headers.update({"User-Agent": _name(), "Accept-Encoding": "identity"})
        # A file goes on from where it broke, which no adapter can do: `transfer.fetch` counts its attempts.
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, Connections(pace))

    def close(self) -> None:
        """Close the connections that are still open."""
        self.session.close()

    def asking(self, url: str) -> requests.Session:
        """The session, with questions to a service asked again where that pays."""
        self.session.mount(url, Connections(self.pace, Patience.of(self.pace)))
        return self.session

    @contextmanager
    def get(self, target: Target, headers: Mapping[str, str]) -> Iterator[requests.Response]:
        """The answer to a request, closed at the end; its body is not read yet.

        Raises:
            TryAgain: If there is no answer.
            NotGiven: If the address leads nowhere.
        """
        try:
            answer = self.session.get(
                target.url, params=dict(target.secret), headers=dict(headers), stream=True
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
            raise self._failure(error, target) from error
        with answer:
            yield answer

    def body(self, answer: requests.Response) -> Iterator[bytes]:
        """The bytes of an answer as they come, as the server stores them.

        Raises:
            TryAgain: If they stop coming before the end.
        """
        try:
            yield from answer.raw.stream(CHUNK, decode_content=False)
        except urllib3.exceptions.ReadTimeoutError as error:
            raise TryAgain(f"the server fell silent for {self.pace.timeout:g} s") from error
        except (urllib3.exceptions.HTTPError, requests.RequestException, OSError) as error:
            raise TryAgain("the connection broke off") from error

    def _failure(self, error: Exception, target: Target) -> NotGiven:
        """Our error in place of the library's, whose text would show the whole address with its secrets."""
        host = urlsplit(target.url).netloc
        if isinstance(error, requests.Timeout):
            return TryAgain(f"no answer from {host} within {self.pace.timeout:g} s")
        if isinstance(error, requests.exceptions.SSLError):
            return NotGiven(f"{host} cannot prove that it is {host} (TLS)")
        if isinstance(error, requests.ConnectionError):
            return TryAgain(f"no connection to {host}")
        return NotGiven(f"the request to {host} failed ({type(error).__name__})")


def refuse(answer: requests.Response, patience: Patience) -> None:
    """Refuse an answer that brings no file.

    Args:
        answer: To a request.
        patience: Says which answers are worth another attempt, and how long is too long to wait.

    Raises:
        TryAgain: If the server is busy, or does not have the rest that was asked for.
        Closed: If it asks to wait for longer than agreed.
        NotGiven: For every other answer than 200 and 206.
    """
    code = answer.status_code
    if code in (200, 206):
        return
    if code == 416:
        raise TryAgain("the server does not have the rest of it (416)", anew=True)
    if patience.is_retry("GET", code):
        patience.get_retry_after(answer.raw)
        raise TryAgain(f"the server is busy or broken ({code})", answer=answer.raw)
    raise NotGiven(REFUSALS.get(code, f"the server answers {code} {answer.reason or ''}".rstrip()))


def validator(headers: Mapping[str, str]) -> str:
    """What tells a version of a file from the next: a strong ETag, else the date of change; empty if neither."""
    tag = headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")


def _name() -> str:
    try:
        return f"synth2obs/{version('synth2obs')}"
    except PackageNotFoundError:
        return "synth2obs"
