"""Coefficients → native pixels, linear, for every star at its own velocity."""
