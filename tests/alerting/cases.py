"""For each alerting rule what makes it fire, and what looks much the same and must not. Series are promtool's notation.

`1+2x5` is 1 3 5 7 9 11, `_x5` five missing ones; one sample a minute, in the courses of days one every half hour.
"""

from __future__ import annotations

from typing import Final, NamedTuple

Series = dict[str, str]

_J: Final = 'job="forewarn"'
_W: Final = 'job="forewarn", instance="w1"'


class Case(NamedTuple):
    """One rule."""

    rule: str
    at: str
    """When it is looked at, in both cases."""
    labels: dict[str, str]
    """Those of the alert, beside its name and severity."""
    fires: Series
    quiet: Series
    why_quiet: str
    step: str = "1m"
    """Between two samples, and two looks at the rules."""


def opened(counts: str, status: str = "opened") -> Series:
    """Alerts of one signal."""
    return {
        f'forewarn_alerts_total{{{_W}, signal="missed_payment", severity="watch", status="{status}"}}': counts
    }


def buckets(histogram: str, fast: str, slow: str) -> Series:
    """A histogram of observations within 0.1 s, and of those that take up to a minute."""
    return {
        f'forewarn_{histogram}_bucket{{{_W}, le="0.1"}}': fast,
        f'forewarn_{histogram}_bucket{{{_W}, le="60"}}': slow,
        f'forewarn_{histogram}_bucket{{{_W}, le="+Inf"}}': slow,
    }


_JOB: Final = {"job": "forewarn"}
_WORKER: Final = {"job": "forewarn", "instance": "w1"}
_DESK: Final = {"job": "forewarn", "endpoint": "desk"}
_HALF_HOUR: Final = "30m"
_DAY: Final = 48
"""Half hours."""

PIPELINE: Final = (
    Case(
        "ForewarnNoWorker",
        "5m",
        {},
        {f"up{{{_W}}}": "0x10"},
        {f"up{{{_W}}}": "0x10", 'up{job="forewarn", instance="w2"}': "1x10"},
        "one of two answers",
    ),
    Case(
        "ForewarnWorkerDown",
        "8m",
        _WORKER,
        {f"up{{{_W}}}": "1 1 0x10"},
        {f"up{{{_W}}}": "1 1 0 0 0 1x10", 'up{job="prometheus"}': "0x10"},
        "three minutes are a release; and another job is not ours",
    ),
    Case(
        "ForewarnWorkerRestarting",
        "30m",
        _WORKER,
        {f"process_start_time_seconds{{{_W}}}": "100x5 400x5 800x5 1200x20"},
        {f"process_start_time_seconds{{{_W}}}": "100x5 400x30"},
        "one start is a release",
    ),
    Case(
        "ForewarnNotReady",
        "12m",
        _WORKER,
        {f"forewarn_ready{{{_W}}}": "0x15"},
        {f"forewarn_ready{{{_W}}}": "0 0 0 1x12"},
        "a start",
    ),
    Case(
        "ForewarnNotProgressing",
        "10m",
        _WORKER,
        {f"forewarn_stalled_seconds{{{_W}}}": "0 30 80 0x8"},
        {f"forewarn_stalled_seconds{{{_W}}}": "0 15 40 0x8"},
        "a leader of a partition changed",
    ),
    Case(
        "ForewarnTasksMissing",
        "90m",
        _JOB,
        {
            f'forewarn_tasks{{{_W}, phase="open"}}': "4x120",
            'forewarn_tasks{job="forewarn", instance="w2", phase="open"}': "4x60 0x60",
        },
        {
            f'forewarn_tasks{{{_W}, phase="open"}}': "4x60 8x60",
            'forewarn_tasks{job="forewarn", instance="w2", phase="open"}': "4x60 0x60",
        },
        "the other worker took them over",
    ),
    Case(
        "ForewarnRestoreSlow",
        "7m",
        _WORKER,
        {f'forewarn_tasks{{{_W}, phase="opening"}}': "2x10"},
        {f'forewarn_tasks{{{_W}, phase="opening"}}': "2 2 0x10"},
        "a restore that ends",
    ),
    Case(
        "ForewarnRebalancing",
        "30m",
        _WORKER,
        {f"forewarn_rebalances_total{{{_W}}}": "0+1x30"},
        {f"forewarn_rebalances_total{{{_W}}}": "1x10 3x20"},
        "a release of two workers",
    ),
    Case(
        "ForewarnLagGrowing",
        "35m",
        _JOB | {"topic": "repayments"},
        {f'forewarn_consumer_lag_records{{{_W}, topic="repayments", partition="0"}}': "0+1000x40"},
        {f'forewarn_consumer_lag_records{{{_W}, topic="repayments", partition="0"}}': "90000-1000x40"},
        "a backlog that is worked off",
    ),
    Case(
        "ForewarnNothingProcessed",
        "12m",
        _JOB,
        {
            f'forewarn_consumer_lag_records{{{_W}, topic="repayments", partition="0"}}': "5000x15",
            f"forewarn_processed_total{{{_W}}}": "100x15",
        },
        {
            f'forewarn_consumer_lag_records{{{_W}, topic="repayments", partition="0"}}': "3x15",
            f"forewarn_processed_total{{{_W}}}": "100x15",
        },
        "nothing comes, and nothing waits",
    ),
    Case(
        "ForewarnNothingCommitted",
        "12m",
        _JOB,
        {
            f"forewarn_processed_total{{{_W}}}": "0+100x15",
            f"forewarn_commits_total{{{_W}}}": "7x15",
        },
        {
            f"forewarn_processed_total{{{_W}}}": "100x15",
            f"forewarn_commits_total{{{_W}}}": "7x15",
        },
        "nothing to commit",
    ),
    Case(
        "ForewarnTransactionsSlow",
        "22m",
        _JOB,
        buckets("commit_seconds", "0+90x25", "0+100x25"),
        buckets("commit_seconds", "0+100x25", "0+100x25"),
        "all are fast",
    ),
    Case(
        "ForewarnAlertsLate",
        "22m",
        _JOB,
        buckets("alert_latency_seconds", "0+90x25", "0+100x25"),
        buckets("alert_latency_seconds", "0+100x25", "0+100x25"),
        "all are fast",
    ),
    Case(
        "ForewarnFeedSilent",
        "20m",
        _JOB | {"topic": "fund-flows"},
        {f'forewarn_feed_silent{{{_W}, topic="fund-flows"}}': "1x25"},
        {f'forewarn_feed_silent{{{_W}, topic="fund-flows"}}': "1x10 0 1x14"},
        "it came back meanwhile",
    ),
    Case(
        "ForewarnDeadLetters",
        "10m",
        _JOB | {"topic": "repayments"},
        {f'forewarn_rejects_total{{{_W}, topic="repayments", reason="not-json"}}': "0x5 1x10"},
        {
            f'forewarn_rejects_total{{{_W}, topic="repayments", reason="not-json"}}': "3x20",
            f'forewarn_rejects_total{{{_W}, topic="fund-flows", reason="not-json"}}': "0x5 1x10",
        },
        "old ones; and one of a feed that holds nothing up",
    ),
    Case(
        "ForewarnManyDeadLetters",
        "22m",
        _JOB | {"topic": "fund-flows"},
        {
            f'forewarn_rejects_total{{{_W}, topic="fund-flows", reason="not-json"}}': "0+5x25",
            f'forewarn_events_total{{{_W}, topic="fund-flows", type="fund_flow"}}': "0+100x25",
        },
        {
            f'forewarn_rejects_total{{{_W}, topic="fund-flows", reason="not-json"}}': "0+5x25",
            f'forewarn_events_total{{{_W}, topic="fund-flows", type="fund_flow"}}': "0+1000x25",
        },
        "one in two hundred",
    ),
    Case(
        "ForewarnPolicyRefused",
        "10m",
        _JOB,
        {f'forewarn_policies_total{{{_W}, outcome="refused"}}': "0x5 1x10"},
        {
            f'forewarn_policies_total{{{_W}, outcome="refused"}}': "2x20",
            f'forewarn_policies_total{{{_W}, outcome="taken"}}': "0x5 1x10",
        },
        "another one was taken",
    ),
    Case(
        "ForewarnPoliciesUnreadable",
        "15m",
        _WORKER,
        {
            f"forewarn_policies_age_seconds{{{_W}}}": "0x20",
            f"forewarn_scorecards_age_seconds{{{_W}}}": "0+60x20",
        },
        {
            f"forewarn_policies_age_seconds{{{_W}}}": "0 60 120 180 240 0x20",
            f"forewarn_scorecards_age_seconds{{{_W}}}": "5x20",
        },
        "the broker was away for four minutes",
    ),
    Case(
        "ForewarnPoliciesDiffer",
        "70m",
        _JOB,
        {
            f'forewarn_policy_tasks{{{_W}, version="a"}}': "4x80",
            'forewarn_policy_tasks{job="forewarn", instance="w2", version="b"}': "4x80",
        },
        {
            f'forewarn_policy_tasks{{{_W}, version="a"}}': "4x10 0x70",
            'forewarn_policy_tasks{job="forewarn", instance="w1", version="b"}': "0x5 4x75",
        },
        "a new one is taken up",
    ),
    Case(
        "ForewarnWebhookGivesUp",
        "30m",
        _DESK,
        {f'forewarn_webhook_messages_total{{{_W}, endpoint="desk", outcome="dead_lettered"}}': "_x25 1x10"},
        {
            f'forewarn_webhook_messages_total{{{_W}, endpoint="desk", outcome="dead_lettered"}}': "3x40",
            f'forewarn_webhook_messages_total{{{_W}, endpoint="desk", outcome="filtered"}}': "_x25 1x10",
        },
        "old ones; and what it did not want",
    ),
    Case(
        "ForewarnWebhookGivesUp",
        "30m",
        _DESK,
        {f'forewarn_webhook_messages_total{{{_W}, endpoint="desk", outcome="dead_lettered"}}': "2x25 3x10"},
        {f'forewarn_webhook_messages_total{{{_W}, endpoint="desk", outcome="delivered"}}': "2x25 3x10"},
        "it took them",
    ),
    Case(
        "ForewarnWebhookStuck",
        "35m",
        _DESK,
        {
            f'forewarn_webhook_pending{{{_W}, endpoint="desk"}}': "5x40",
            f'forewarn_webhook_messages_total{{{_W}, endpoint="desk", outcome="delivered"}}': "7x40",
        },
        {
            f'forewarn_webhook_pending{{{_W}, endpoint="desk"}}': "5x40",
            f'forewarn_webhook_messages_total{{{_W}, endpoint="desk", outcome="delivered"}}': "7+1x40",
        },
        "busy, and getting on",
    ),
    Case(
        "ForewarnWebhookDisabled",
        "5m",
        _DESK,
        {f'forewarn_webhook_disabled{{{_W}, endpoint="desk"}}': "1x10"},
        {f'forewarn_webhook_disabled{{{_W}, endpoint="desk"}}': "1x3 0x10"},
        "it listens again",
    ),
)

RISK: Final = (
    Case(
        "ForewarnAlertVolumeHigh",
        "50h",
        _JOB,
        opened(f"0+30x{2 * _DAY} {60 * _DAY}+300x{_DAY}"),
        opened(f"0+30x{2 * _DAY} {60 * _DAY}+75x{_DAY}"),
        "two and a half times the usual",
        _HALF_HOUR,
    ),
    Case(
        "ForewarnAlertVolumeLow",
        "98h",
        _JOB,
        opened(f"0+30x{3 * _DAY} {90 * _DAY}x{2 * _DAY}"),
        opened(f"0+30x{3 * _DAY} {90 * _DAY}+15x{2 * _DAY}"),
        "half of the usual",
        _HALF_HOUR,
    ),
    Case(
        "ForewarnAlertsRetracted",
        "24h",
        _JOB,
        opened(f"0+30x{_DAY}") | opened(f"0+15x{_DAY}", "retracted"),
        opened(f"0+30x{_DAY}") | opened(f"0+3x{_DAY}", "retracted"),
        "one in ten",
        _HALF_HOUR,
    ),
    Case(
        "ForewarnPortfolioStale",
        "80m",
        _WORKER,
        {f"forewarn_portfolio_age_seconds{{{_W}}}": "0+60x90"},
        {f"forewarn_portfolio_age_seconds{{{_W}}}": "0+60x50 0+60x40"},
        "it was looked through after 50 minutes",
    ),
)


def auc(values: str, examples: int = 5000) -> Series:
    """The figures of the worker that learns."""
    return {
        f"forewarn_model_auc{{{_W}}}": values,
        f"forewarn_model_examples{{{_W}}}": f"{examples}x{15 * _DAY}",
        f"forewarn_training{{{_W}}}": f"1x{15 * _DAY}",
    }


def calibration(error: float, examples: int = 5000) -> Series:
    """The same."""
    return {
        f"forewarn_model_calibration_error{{{_W}}}": f"{error}x{2 * _DAY}",
        f"forewarn_model_examples{{{_W}}}": f"{examples}x{2 * _DAY}",
        f"forewarn_training{{{_W}}}": f"1x{2 * _DAY}",
    }


MODEL: Final = (
    Case(
        "ForewarnModelDrift",
        "60m",
        _JOB | {"watched": "residual"},
        {f'forewarn_drifts_total{{{_W}, watched="residual"}}': "0x30 1x40"},
        {f'forewarn_drifts_total{{{_W}, watched="residual"}}': "1x70"},
        "of long ago",
    ),
    Case(
        "ForewarnModelWorse",
        "230h",
        _JOB,
        auc(f"0.82x{7 * _DAY} 0.74x{5 * _DAY}"),
        auc(f"0.82x{7 * _DAY} 0.79x{5 * _DAY}"),
        "within what chance does",
        _HALF_HOUR,
    ),
    Case(
        "ForewarnModelMiscalibrated",
        "26h",
        _JOB,
        calibration(0.08),
        calibration(0.08, examples=300),
        "too few examples to tell",
        _HALF_HOUR,
    ),
    Case(
        "ForewarnCardsRefused",
        "28d",
        _JOB,
        {
            f'forewarn_card_steps_total{{{_W}, outcome="worse"}}': f"0x{_DAY} 4x{28 * _DAY}",
            f'forewarn_card_steps_total{{{_W}, outcome="published"}}': f"0x{29 * _DAY}",
        },
        {
            f'forewarn_card_steps_total{{{_W}, outcome="worse"}}': f"0x{_DAY} 4x{28 * _DAY}",
            f'forewarn_card_steps_total{{{_W}, outcome="published"}}': f"0x{_DAY} 1x{28 * _DAY}",
        },
        "one of five was published",
        _HALF_HOUR,
    ),
    Case(
        "ForewarnScorecardUnusable",
        "10m",
        _JOB,
        {f'forewarn_scorecards_total{{{_W}, outcome="refused"}}': "0x5 1x10"},
        {f'forewarn_scorecards_total{{{_W}, outcome="taken"}}': "0x5 1x10"},
        "taken up",
    ),
    Case(
        "ForewarnNobodyLearns",
        "100m",
        _JOB,
        {
            f"forewarn_training{{{_W}}}": "0x120",
            f'forewarn_matured_total{{{_W}, outcome="good"}}': "0+1x120",
        },
        {
            f"forewarn_training{{{_W}}}": "0x120",
            'forewarn_training{job="forewarn", instance="w2"}': "1x120",
            f'forewarn_matured_total{{{_W}, outcome="good"}}': "0+1x120",
        },
        "another worker does",
    ),
    Case(
        "ForewarnLearningFails",
        "60m",
        _JOB,
        {f"forewarn_training_restarts_total{{{_W}}}": "0x10 5x60"},
        {f"forewarn_training_restarts_total{{{_W}}}": "0x10 1x60"},
        "once, when the broker was away",
    ),
    Case(
        "ForewarnExamplesLost",
        "10m",
        _JOB,
        {f'forewarn_examples_total{{{_W}, outcome="lost"}}': "0x5 200x10"},
        {f'forewarn_examples_total{{{_W}, outcome="good"}}': "0x5 200x10"},
        "learnt from",
    ),
)

CASES: Final = {"pipeline.yaml": PIPELINE, "risk.yaml": RISK, "model.yaml": MODEL}
