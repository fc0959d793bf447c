"""How hard an archive is asked, and what ends or repeats an attempt."""

import random
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Self

from urllib3.exceptions import InvalidHeader, MaxRetryError
from urllib3.response import BaseHTTPResponse
from urllib3.util import Retry

from synth2obs.core.errors import DataError

BUSY = (408, 425, 429, 500, 502, 503, 504)
"""Answers after which it pays to ask again."""

LONGEST_PAUSE = 60.0
"""Seconds between two attempts, unless the server asks for more."""


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
        answer: Of a busy server, which may say how long to wait.
        anew: Whether what has come so far is of no use.
    """

    def __init__(self, message: str, *, answer: BaseHTTPResponse | None = None, anew: bool = False) -> None:
        super().__init__(message)
        self.answer = answer
        self.anew = anew


class Closed(NotGiven):
    """An archive that asks to be left alone for longer than agreed."""


class Patience(Retry):
    """urllib3's count of the attempts that are left, with its pauses; it refuses to wait for ever.

    Args:
        longest: Longest time that the server may ask to wait for, seconds.
        settings: Of `urllib3.util.Retry`.
    """

    def __init__(self, *, longest: float, **settings: Any) -> None:
        super().__init__(**settings)
        self.longest = longest

    @classmethod
    def of(cls, pace: Pace) -> Self:
        """Patience for a file or a query."""
        return cls(
            longest=pace.longest,
            total=pace.tries - 1,
            status_forcelist=BUSY,
            allowed_methods=None,
            backoff_factor=pace.pause,
            backoff_jitter=pace.pause / 2,
            backoff_max=LONGEST_PAUSE,
        )

    def new(self, **changes: Any) -> Self:
        """A copy with changes."""
        return super().new(longest=self.longest, **changes)

    def after(self, error: TryAgain) -> Self:
        """What is left after a failed attempt.

        Raises:
            TryAgain: The same, if nothing is left.
        """
        try:
            return self.increment("GET", error=error)
        except MaxRetryError:
            times = f", {len(self.history) + 1} times" if self.history else ""
            raise TryAgain(f"{error}{times}") from error

    def get_backoff_time(self) -> float:
        """Seconds until the next attempt, scattered; the library would make the second one at once."""
        first = self.backoff_factor + random.random() * self.backoff_jitter
        return super().get_backoff_time() or min(first, self.backoff_max)

    def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
        """Seconds that a server asks to wait; None if it says nothing.

        Raises:
            Closed: If that is longer than agreed.
        """
        wait = super().get_retry_after(response)
        if wait is not None and wait > self.longest:
            raise Closed(f"the server asks to come back in {wait / 60:.0f} minutes ({response.status})")
        return wait

    def parse_retry_after(self, retry_after: str) -> float:
        """Seconds, from a header that has seconds or a date (RFC 9110, 10.2.3); 0 if it has neither."""
        try:
            if not retry_after.strip().isdecimal():
                # Refuses the 99th of November, which the library takes for a day in February.
                parsedate_to_datetime(retry_after)
            return super().parse_retry_after(retry_after)
        except (InvalidHeader, ValueError, TypeError, OverflowError):
            return 0.0
