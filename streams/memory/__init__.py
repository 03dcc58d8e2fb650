"""The ports in memory: a broker with partitions, transactions, fencing and groups, and a clock that tests move."""
