"""Sessions on a Dask cluster: one cluster for all of these files, which a package can have and a folder cannot."""
