"""What ``import tumorlens`` offers: load, predict, train, evaluate. Imported when it is called."""
