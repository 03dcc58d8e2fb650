"""Real Kafka: the only door to its clients, and a broker of our own where none is given."""
