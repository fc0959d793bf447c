"""Floor 0: units, errors and the tables that every other package speaks in. NumPy only."""
