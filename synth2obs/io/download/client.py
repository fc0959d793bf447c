"""Requests to an archive: not too many a second, with limits of time, and every failure one of ours."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from urllib.parse import urlsplit

import requests
import urllib3

from synth2obs.core.errors import DataError
from synth2obs.io.download.target import Target

CHUNK = 1 << 18
"""Bytes that are asked of a connection at once."""

CONNECT = 15.0
"""Longest time in seconds to wait for a connection."""

BUSY = (408, 425, 429, 500, 502, 503, 504)
"""Answers after which it pays to ask again."""

REFUSALS = {
    401: "the archive wants a login (401)",
    403: "the archive does not give it to everyone (403)",
    404: "the archive has no such file (404)",
    410: "the archive no longer has this file (410)",
}


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How hard to try, and how gently.

    Args:
        rate: Requests per second, at most.
        tries: Attempts for a file.
        timeout: Longest silence of the server, seconds.
        pause: Time before the second attempt, seconds; it doubles from then on.
        longest: Longest time that the server may ask to wait for, seconds.
    """

    rate: float = 2.0
    tries: int = 5
    timeout: float = 60.0
    pause: float = 1.0
    longest: float = 600.0

    def __post_init__(self) -> None:
        for name in ("rate", "timeout", "pause", "longest"):
            if not 0 < getattr(self, name) < float("inf"):
                raise DataError(f"must be positive, got {getattr(self, name)}", field=name, remedy="mend it")
        if self.tries < 1:
            raise DataError(f"must be at least 1, got {self.tries}", field="tries", remedy="mend it")


class NotGiven(DataError):  # noqa: N818 - what happened, not a fault of the program
    """A file that the archive does not give."""


class TryAgain(NotGiven):
    """An attempt that failed; the next may not.

    Args:
        message: What happened.
        wait: Seconds that the server asks to wait; None if it says nothing.
        anew: Whether what has come so far is of no use.
    """

    def __init__(self, message: str, *, wait: float | None = None, anew: bool = False) -> None:
        super().__init__(message)
        self.wait = wait
        self.anew = anew


class Closed(NotGiven):
    """An archive that asks to be left alone for longer than agreed."""


class Client:
    """One connection at a time, no more requests a second than agreed.

    Args:
        pace: How often, and how long to wait.
    """

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self.session = requests.Session()
        self.session.headers.update({"User-Agent": _name(), "Accept-Encoding": "identity"})
        self.next = 0.0

    def close(self) -> None:
        """Close the connections that are still open."""
        self.session.close()

    @contextmanager
    def get(self, target: Target, headers: Mapping[str, str]) -> Iterator[requests.Response]:
        """The answer to a request, closed at the end; its body is not read yet.

        Raises:
            TryAgain: If there is no answer.
            NotGiven: If the address leads nowhere.
        """
        time.sleep(max(0.0, self.next - time.monotonic()))
        self.next = time.monotonic() + 1.0 / self.pace.rate
        try:
            answer = self.session.get(
                target.url,
                params=dict(target.secret),
                headers=dict(headers),
                stream=True,
                timeout=(min(CONNECT, self.pace.timeout), self.pace.timeout),
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


def refuse(answer: requests.Response, longest: float) -> None:
    """Refuse an answer that brings no file.

    Args:
        answer: To a request.
        longest: Longest time in seconds that is worth waiting for.

    Raises:
        TryAgain: If the server is busy, or does not have the rest that was asked for.
        Closed: If it asks to wait for longer.
        NotGiven: For every other answer than 200 and 206.
    """
    code = answer.status_code
    if code in (200, 206):
        return
    if code == 416:
        raise TryAgain("the server does not have the rest of it (416)", anew=True)
    if code in BUSY:
        wait = retry_after(answer.headers.get("Retry-After", ""), datetime.now(UTC))
        if wait is not None and wait > longest:
            raise Closed(f"the server asks to come back in {wait / 60:.0f} minutes ({code})")
        raise TryAgain(f"the server is busy or broken ({code})", wait=wait)
    raise NotGiven(REFUSALS.get(code, f"the server answers {code} {answer.reason or ''}".rstrip()))


def retry_after(text: str, now: datetime) -> float | None:
    """Seconds to wait, from a header that has seconds or a date (RFC 9110, 10.2.3); None if it has neither."""
    try:
        return max(0.0, float(int(text)))
    except ValueError:
        pass
    try:
        then = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    then = then if then.tzinfo is not None else then.replace(tzinfo=UTC)
    return max(0.0, (then - now).total_seconds())


def validator(headers: Mapping[str, str]) -> str:
    """What tells a version of a file from the next: a strong ETag, else the date of change; empty if neither."""
    tag = headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")


def _name() -> str:
    try:
        return f"synth2obs/{version('synth2obs')}"
    except PackageNotFoundError:
        return "synth2obs"
