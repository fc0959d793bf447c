"""Everything that knows MLflow: the store, its runs, the model registry."""
