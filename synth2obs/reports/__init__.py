"""Floor 5: what a trained bridge can do, as a page per survey, as figures and as a table in the terminal.

An extra: its libraries come with ``pip install 'synth2obs[report]'``, and with ``train``.
"""

from synth2obs.core.extras import require

require("report", "reports", "jinja2", "plotly")
