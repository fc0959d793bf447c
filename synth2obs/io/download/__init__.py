"""Native files of surveys from their public archives: resumable, verified, polite.

An extra: its libraries come with ``pip install 'synth2obs[download]'``.
"""

from synth2obs.core.extras import require

require("download", "downloads", "astroquery", "requests", "urllib3")
