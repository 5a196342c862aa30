"""The Python API behind ``import tumorlens``: load, predict, train, evaluate."""
