"""Public data sets as event folders: real borrowers for backtests and demos."""
