"""The data format: spectra of one domain in one HDF5 file (docs/data_format.md)."""
