"""Speed and error of the instrument, the model and its fits beside those of other packages; `run.py` is the command."""
