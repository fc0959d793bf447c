"""Corrections of a line list that a gap asks for."""
