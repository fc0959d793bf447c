"""Floor 1: spectra on disk: shards, their checker, grids and the native files of surveys."""
