"""Floor 5: what a trained bridge can do, as a page per survey, as figures and as a table in the terminal."""
