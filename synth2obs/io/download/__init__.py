"""Native files of surveys from their public archives: resumable, verified, polite.

An extra: its libraries come with ``pip install 'synth2obs[download]'``.
"""

from importlib.util import find_spec

from synth2obs.core.errors import ExtraMissingError

_MISSING = [name for name in ("astroquery", "requests", "urllib3") if find_spec(name) is None]
if _MISSING:
    raise ExtraMissingError(
        f"downloads need {', '.join(_MISSING)}, not installed here; pip install 'synth2obs[download]'"
    )
