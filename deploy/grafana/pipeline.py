"""*Pipeline*: is it working? For the engineer on call."""

from __future__ import annotations

from collections.abc import Sequence

from deploy.grafana.panels import Panel, frame, heat_of, lines, number, query, stacked

_LATENCY_TARGET_SECONDS = 0.25
"""What is promised at half load: 99 of 100 alerts within it."""


def dashboard() -> dict[str, object]:
    """Health first, then the way of an event: in, through, out; then what hinders it."""
    return frame(
        "forewarn-pipeline",
        "Forewarn / Pipeline",
        "Is it working?",
        {
            "Health": _health(),
            "What comes in": _input(),
            "How fast it goes through": _speed(),
            "What is refused or odd": _refused(),
            "State and restores": _state(),
            "Policies and scorecards in force": _inputs_of_the_engine(),
            "Delivery by webhooks": _delivery(),
        },
    )


def _health() -> Sequence[Panel]:
    return (
        number(
            "Workers ready",
            "Restored and getting on, as /readyz says. Fewer than workers up: one of them restores, or stands still.",
            'sum(forewarn_ready{job=~"$job"})',
            steps=((None, "red"), (1, "green")),
        ),
        number(
            "Workers up",
            "Workers that answer Prometheus.",
            'sum(up{job=~"$job"})',
            steps=((None, "red"), (1, "green")),
        ),
        number(
            "Tasks open",
            "Partitions whose events are processed; all of them in good times.",
            'sum(forewarn_tasks{job=~"$job", phase="open"})',
        ),
        number(
            "Records behind",
            "Read by nobody yet, over all topics.",
            'sum(forewarn_consumer_lag_records{job=~"$job"})',
            steps=((None, "green"), (100_000, "orange"), (1_000_000, "red")),
        ),
        number(
            "Longest standstill",
            "How long a worker stands still although there is work; it ends itself after 90 s.",
            'max(forewarn_stalled_seconds{job=~"$job"})',
            unit="s",
            steps=((None, "green"), (15, "orange"), (60, "red")),
        ),
        number(
            "Feeds silent",
            "Feeds none of whose partitions moved for a while: judgements of absence wait for them.",
            'sum(max by (job, topic) (forewarn_feed_silent{job=~"$job"}))',
            steps=((None, "green"), (1, "red")),
        ),
    )


def _input() -> Sequence[Panel]:
    return (
        stacked(
            "Events read, by topic",
            "Each second.",
            query('sum by (topic) (rate(forewarn_events_total{job=~"$job"}[$__rate_interval]))', "{{topic}}"),
            unit="eps",
        ),
        stacked(
            "Events read, by type",
            "Each second; `rejected` could not be read, `message` comes from linked borrowers.",
            query('sum by (type) (rate(forewarn_events_total{job=~"$job"}[$__rate_interval]))', "{{type}}"),
            unit="eps",
        ),
        lines(
            "Records behind, by topic",
            "Growing for long: workers are too few, or one stands still.",
            query('sum by (topic) (forewarn_consumer_lag_records{job=~"$job"})', "{{topic}}"),
        ),
        lines(
            "Records behind, the ten worst partitions",
            "One alone: its task is stuck, or one borrower is very busy.",
            query('topk(10, forewarn_consumer_lag_records{job=~"$job"})', "{{topic}} {{partition}}"),
        ),
        lines(
            "Watermark behind the clock, by feed",
            "How far the time up to which a feed is complete lies behind the time of day. In a replay it is how long ago"
            " the past is.",
            query('max by (topic) (forewarn_watermark_delay_seconds{job=~"$job"})', "{{topic}}"),
            unit="s",
        ),
        lines(
            "Feeds without news",
            "Since any partition of a feed moved. After 15 minutes it counts as silent.",
            query('min by (topic) (forewarn_feed_idle_seconds{job=~"$job"})', "{{topic}}"),
            unit="s",
            limit=((None, "transparent"), (900, "red")),
        ),
    )


def _speed() -> Sequence[Panel]:
    return (
        lines(
            "From event to alert",
            "From the timestamp of the record that caused an alert to the commit of the alert. A backlog shows here first.",
            query(_quantile(0.5, "alert_latency_seconds"), "half of them within"),
            query(_quantile(0.99, "alert_latency_seconds"), "99 of 100 within"),
            unit="s",
            limit=((None, "transparent"), (_LATENCY_TARGET_SECONDS, "orange")),
        ),
        heat_of(
            "From event to alert, spread",
            "The same, every alert.",
            'sum by (le) (rate(forewarn_alert_latency_seconds_bucket{job=~"$job"}[$__rate_interval]))',
        ),
        lines(
            "Events processed",
            "Each second, accepted or not, by worker.",
            query(
                'sum by (instance) (rate(forewarn_processed_total{job=~"$job"}[$__rate_interval]))',
                "{{instance}}",
            ),
            unit="eps",
        ),
        lines(
            "One turn of processing",
            "While it lasts the network waits: long turns cost heartbeats.",
            query(_quantile(0.5, "batch_seconds"), "half of them within"),
            query(_quantile(0.99, "batch_seconds"), "99 of 100 within"),
            unit="s",
        ),
        lines(
            "Transactions",
            "From the start of a transaction to its commit: slow ones mean a slow broker.",
            query(_quantile(0.5, "commit_seconds"), "half of them within"),
            query(_quantile(0.99, "commit_seconds"), "99 of 100 within"),
            unit="s",
        ),
        lines(
            "Transactions a second",
            "Each costs about 2 ms of a worker's time; a worker makes 80 at most.",
            query(
                'sum by (instance) (rate(forewarn_commits_total{job=~"$job"}[$__rate_interval]))',
                "{{instance}}",
            ),
            unit="ops",
        ),
    )


def _refused() -> Sequence[Panel]:
    return (
        stacked(
            "Dead letters a minute, by reason",
            "Refused records. While one of `repayments` or `servicing` is not released, its borrower's alerts are not actionable.",
            query(
                'sum by (reason) (rate(forewarn_rejects_total{job=~"$job"}[$__rate_interval])) * 60 > 0',
                "{{reason}}",
            ),
        ),
        stacked(
            "Dead letters a minute, by topic",
            "Whose producer it is.",
            query(
                'sum by (topic) (rate(forewarn_rejects_total{job=~"$job"}[$__rate_interval])) * 60',
                "{{topic}}",
            ),
        ),
        lines(
            "Noticed and not acted on, a minute",
            "Late, repeated, unknown or forgotten things; each harmless alone, a step in one of them is news.",
            query(
                'topk(10, sum by (what) (rate(forewarn_noticed_total{job=~"$job"}[$__rate_interval])) * 60)',
                "{{what}}",
            ),
        ),
        lines(
            "Records that wait for their place in the order",
            "One topic waits for another that is behind: in a replay always, live for 20 ms.",
            query('sum by (topic) (forewarn_buffered_records{job=~"$job"})', "{{topic}}"),
        ),
    )


def _state() -> Sequence[Panel]:
    return (
        lines(
            "Borrowers held",
            "In memory, by worker.",
            query('sum by (instance) (forewarn_borrowers{job=~"$job"})', "{{instance}}"),
        ),
        lines(
            "Memory",
            "Of the process, and of it the borrowers' states, as last looked through.",
            query('sum by (instance) (process_resident_memory_bytes{job=~"$job"})', "process, {{instance}}"),
            query('sum by (instance) (forewarn_state_bytes{job=~"$job"})', "states, {{instance}}"),
            unit="bytes",
        ),
        lines(
            "State written",
            "To the changelog; more than everything else together when many borrowers change.",
            query(
                'sum by (instance) (rate(forewarn_state_written_bytes_total{job=~"$job"}[$__rate_interval]))',
                "{{instance}}",
            ),
            unit="Bps",
        ),
        lines(
            "Processor",
            "Cores used by each worker; it has one loop, so that 1 is its limit.",
            query(
                'sum by (instance) (rate(process_cpu_seconds_total{job=~"$job"}[$__rate_interval]))',
                "{{instance}}",
            ),
        ),
        lines(
            "Restores: records left",
            "Of the changelog, by task; a million borrowers come back in about 15 s.",
            query('sum by (task) (forewarn_restore_remaining_records{job=~"$job"})', "task {{task}}"),
        ),
        lines(
            "Restores: time left, and time taken",
            "If it goes on like this; and how long 99 of 100 took since the workers started, from the start of a task's"
            " producer to its open gate.",
            query('max(forewarn_restore_remaining_seconds{job=~"$job"})', "left"),
            query(
                'histogram_quantile(0.99, sum by (le) (forewarn_restore_seconds_bucket{job=~"$job"}))',
                "taken",
            ),
            unit="s",
        ),
        lines(
            "Rebalances, in the last hour",
            "Each moves tasks between workers. Many without a reason: workers lose their session.",
            query('sum(increase(forewarn_rebalances_total{job=~"$job"}[1h]))', "rebalances"),
        ),
        lines(
            "Starts of workers, in the last hour",
            "A worker that cannot go on ends, and is started anew.",
            query('sum by (instance) (changes(process_start_time_seconds{job=~"$job"}[1h]))', "{{instance}}"),
        ),
    )


def _inputs_of_the_engine() -> Sequence[Panel]:
    return (
        stacked(
            "Tasks, by policy in force",
            "Two colours for longer than a moment: some worker cannot read the topic.",
            query('sum by (version) (forewarn_policy_tasks{job=~"$job"})', "{{version}}"),
        ),
        stacked(
            "Tasks, by scorecard in force",
            "The same for scorecards.",
            query('sum by (version) (forewarn_scorecard_tasks{job=~"$job"})', "{{version}}"),
        ),
        lines(
            "Last read without failure",
            "How old what a worker knows of the topics is: of policies, of scorecards, and of the records behind.",
            query('max(forewarn_policies_age_seconds{job=~"$job"})', "policies"),
            query('max(forewarn_scorecards_age_seconds{job=~"$job"})', "scorecards"),
            query('max(forewarn_consumer_lag_age_seconds{job=~"$job"})', "records behind"),
            unit="s",
        ),
        lines(
            "Policies and scorecards, in the last day",
            "Taken up, refused, or not readable, counted by each worker for itself.",
            query(
                'sum by (outcome) (increase(forewarn_policies_total{job=~"$job"}[1d]))',
                "policies {{outcome}}",
            ),
            query(
                'sum by (outcome) (increase(forewarn_scorecards_total{job=~"$job"}[1d]))',
                "scorecards {{outcome}}",
            ),
        ),
    )


def _delivery() -> Sequence[Panel]:
    return (
        stacked(
            "Alerts delivered a minute, by endpoint",
            "What became of each revision: delivered, filtered as the endpoint asked, or given up as a dead letter.",
            query(
                "sum by (endpoint, outcome)"
                ' (rate(forewarn_webhook_messages_total{job=~"$job"}[$__rate_interval])) * 60',
                "{{endpoint}} {{outcome}}",
            ),
            span=8,
        ),
        stacked(
            "Requests to endpoints a minute, by answer",
            "More requests than deliveries: an endpoint refuses, hangs, or is away, and is asked again.",
            query(
                "sum by (endpoint, outcome)"
                ' (rate(forewarn_webhook_attempts_total{job=~"$job"}[$__rate_interval])) * 60',
                "{{endpoint}} {{outcome}}",
            ),
            span=8,
        ),
        lines(
            "Alerts that wait for an endpoint",
            "In memory; when they are a thousand, the rest waits in Kafka.",
            query('sum by (endpoint) (forewarn_webhook_pending{job=~"$job"})', "{{endpoint}}"),
            span=8,
        ),
    )


def _quantile(part: float, histogram: str) -> str:
    return (
        f"histogram_quantile({part}, sum by (le)"
        f' (rate(forewarn_{histogram}_bucket{{job=~"$job"}}[$__rate_interval])))'
    )
