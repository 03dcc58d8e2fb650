"""Everything that touches the world: Kafka, clocks, files, pages; the decisions are made in `models`."""
