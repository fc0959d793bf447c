"""Descriptions of instruments: pixels and resolving power, without any star. `named` gives one, `overview` all."""
