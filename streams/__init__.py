"""Everything that touches the world: Kafka, clocks, files, pages; the decisions are made in `models`.

The way of an event: `kafka.source` polls the four input topics, of the whole partitions ("tasks") that `kafka.assignor` gave
this worker; `pipeline`, the one loop, hands each batch to its `task`, where `codec` makes events or rejects of the bytes
and `ordering` brings the topics of the partition into one order of time; `models.engine` takes one event after the other,
moves its feed's watermark and judges the deadlines thereby passed, adds it to what is remembered of the borrower
(`models.evidence`) and judges the signals it touches (`models.signals`), and what changed becomes a revision of an alert
(`models.lifecycle`, `models.publication`); `task` gathers it into a transaction, alerts, borrower risk and changed state as
`outputs` writes them, rejects as `dead_letters`, its own position as `progress`, and `kafka.producer` sends all of it and
the input offsets to Kafka, whole or not at all, so that a `read_committed` reader of `alerts` sees every revision once.
"""

from streams import compiled

compiled.choose_by_environment()  # before anything of `models` is imported
