"""Alerts to endpoints that speak HTTP, by Standard Webhooks (https://www.standardwebhooks.com): at least once, with stable ids.

Each endpoint is a consumer group of its own over `alerts`, so Kafka is its queue: one that fails or hangs falls behind by itself
and holds nobody up. `endpoints.py` reads the file, `wanted.py` says what an endpoint hears of, `sender.py` makes one attempt,
`shift.py` keeps the order of each borrower and tries again, `loop.py` reads and commits. Why: `decisions/0001-kafka-is-the-queue.md`.
"""
