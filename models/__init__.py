"""Events in, alerts out: pure decisions, without clocks, files, networks or randomness."""
