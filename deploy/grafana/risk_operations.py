"""*Risk operations*: what is happening to the book? For those who answer for the portfolio."""

from __future__ import annotations

from collections.abc import Sequence

from deploy.grafana.panels import Panel, bars, frame, lines, number, query, rows, stacked


def dashboard() -> dict[str, object]:
    """The book in six figures; then what is new, how late it is, and where."""
    return frame(
        "forewarn-risk-operations",
        "Forewarn / Risk operations",
        "What is happening to the book?",
        {
            "The book now": _book(),
            "Alerts": _alerts(),
            "Days past due": _days_past_due(),
            "Where the risk is": _concentration(),
        },
    )


def _book() -> Sequence[Panel]:
    return (
        number(
            "Borrowers with open loans",
            "With at least one open loan of our own.",
            'sum(forewarn_portfolio_borrowers{job=~"$job"})',
        ),
        number(
            "Past due",
            "Part of them that is past due by one day or more.",
            'sum(forewarn_portfolio_borrowers{job=~"$job", bucket!="current"})'
            ' / sum(forewarn_portfolio_borrowers{job=~"$job"})',
            unit="percentunit",
            steps=((None, "green"), (0.05, "orange"), (0.1, "red")),
        ),
        number(
            "At high or severe risk",
            "Borrowers whom the scorecard puts into the two worst tiers.",
            'sum(forewarn_portfolio_borrowers{job=~"$job", tier=~"high|severe"})',
            steps=((None, "orange"),),
        ),
        number(
            "Open alerts",
            "Episodes that are neither resolved nor retracted.",
            'sum(forewarn_portfolio_open_alerts{job=~"$job"})',
        ),
        number(
            "New alerts, 24 hours",
            "Episodes opened in the last 24 hours.",
            'sum(increase(forewarn_alerts_total{job=~"$job", status="opened"}[1d]))',
        ),
        number(
            "Age of the portfolio figures",
            "The book is looked through from time to time; all figures of the portfolio are as old as this.",
            'max(forewarn_portfolio_age_seconds{job=~"$job"})',
            unit="s",
            steps=((None, "green"), (600, "orange"), (3600, "red")),
        ),
    )


def _alerts() -> Sequence[Panel]:
    return (
        stacked(
            "New alerts an hour, by signal",
            "Which early warning speaks. A step in one signal alone points at its feed or its threshold.",
            query(
                'sum by (signal) (rate(forewarn_alerts_total{job=~"$job", status="opened"}[$__rate_interval])) * 3600',
                "{{signal}}",
            ),
        ),
        stacked(
            "New alerts an hour, by severity",
            "How bad they are when they open.",
            query(
                'sum by (severity) (rate(forewarn_alerts_total{job=~"$job", status="opened"}[$__rate_interval])) * 3600',
                "{{severity}}",
            ),
        ),
        lines(
            "New alerts a day, against the week",
            "The last 24 hours beside the mean day of the last seven: what the rule of the alert volume looks at.",
            query('sum(increase(forewarn_alerts_total{job=~"$job", status="opened"}[1d]))', "last 24 hours"),
            query(
                'sum(increase(forewarn_alerts_total{job=~"$job", status="opened"}[7d])) / 7',
                "mean day of the week",
            ),
        ),
        stacked(
            "Revisions an hour, by status",
            "Opened, escalated, eased, updated, resolved; and retracted: taken back, because what came late proved them wrong.",
            query(
                'sum by (status) (rate(forewarn_alerts_total{job=~"$job"}[$__rate_interval])) * 3600',
                "{{status}}",
            ),
        ),
        bars(
            "Open alerts, by signal",
            "How many episodes are open of each early warning.",
            'sum by (signal) (forewarn_portfolio_open_alerts{job=~"$job"})',
            "{{signal}}",
        ),
        rows(
            "Open alerts, by signal and severity",
            "The same, told apart by how bad they are.",
            'sum by (signal, severity) (forewarn_portfolio_open_alerts{job=~"$job"}) > 0',
            {"signal": "signal", "severity": "severity", "Value": "open alerts"},
        ),
    )


def _days_past_due() -> Sequence[Panel]:
    return (
        stacked(
            "Borrowers past due, by days",
            "By the loan that is longest past due; those who are current are left out, or nothing else would be seen.",
            query(
                'sum by (bucket) (forewarn_portfolio_borrowers{job=~"$job", bucket!="current"})',
                "{{bucket}} days",
            ),
        ),
        lines(
            "Portfolio at risk",
            "Outstanding of loans more than 30 and more than 90 days past due, against all that is outstanding.",
            query(
                'sum by (currency) (forewarn_portfolio_outstanding_minor{job=~"$job", bucket!~"current|1-30"})'
                ' / sum by (currency) (forewarn_portfolio_outstanding_minor{job=~"$job"})',
                "more than 30 days, {{currency}}",
            ),
            query(
                'sum by (currency) (forewarn_portfolio_outstanding_minor{job=~"$job", bucket!~"current|1-30|31-60|61-90"})'
                ' / sum by (currency) (forewarn_portfolio_outstanding_minor{job=~"$job"})',
                "more than 90 days, {{currency}}",
            ),
            unit="percentunit",
        ),
        stacked(
            "Amount past due, by days",
            "In minor units of the currency (fen, cents).",
            query(
                "sum by (currency, bucket)"
                ' (forewarn_portfolio_overdue_minor{job=~"$job", bucket!="current"})',
                "{{bucket}} days, {{currency}}",
            ),
        ),
        lines(
            "Rate past due",
            "What is past due against all that is outstanding.",
            query(
                'sum by (currency) (forewarn_portfolio_overdue_minor{job=~"$job"})'
                ' / sum by (currency) (forewarn_portfolio_outstanding_minor{job=~"$job"})',
                "{{currency}}",
            ),
            unit="percentunit",
        ),
        rows(
            "Moves between buckets in thirty days",
            "How many borrowers stood where thirty days ago, and where they stand now; `none`: they had no loan yet.",
            'sum by (before, bucket) (forewarn_portfolio_moved_borrowers{job=~"$job"}) > 0',
            {"before": "thirty days ago", "bucket": "now", "Value": "borrowers"},
        ),
        lines(
            "Roll rates",
            "Part of those who were current thirty days ago and are past due now; and of those past due by 1-30 days who are"
            " past due by more now.",
            query(
                'sum(forewarn_portfolio_moved_borrowers{job=~"$job", before="current", bucket!="current"})'
                ' / sum(forewarn_portfolio_moved_borrowers{job=~"$job", before="current"})',
                "current to past due",
            ),
            query(
                'sum(forewarn_portfolio_moved_borrowers{job=~"$job", before="1-30", bucket!~"current|1-30"})'
                ' / sum(forewarn_portfolio_moved_borrowers{job=~"$job", before="1-30"})',
                "1-30 days to more",
            ),
            unit="percentunit",
        ),
    )


def _concentration() -> Sequence[Panel]:
    return (
        stacked(
            "Borrowers, by tier of risk",
            "How the scorecard sees the book. A shift without news from the book points at the model.",
            query('sum by (tier) (forewarn_portfolio_borrowers{job=~"$job"})', "{{tier}}"),
        ),
        lines(
            "Part of the largest platforms",
            "Of all that is outstanding, what came through the largest platform, and through the five largest.",
            query(
                "max by (currency) (sum by (currency, platform)"
                ' (forewarn_portfolio_platform_outstanding_minor{job=~"$job", platform!="other"}))'
                ' / sum by (currency) (forewarn_portfolio_platform_outstanding_minor{job=~"$job"})',
                "largest, {{currency}}",
            ),
            query(
                "sum by (currency) (topk by (currency) (5, sum by (currency, platform)"
                ' (forewarn_portfolio_platform_outstanding_minor{job=~"$job", platform!="other"})))'
                ' / sum by (currency) (forewarn_portfolio_platform_outstanding_minor{job=~"$job"})',
                "five largest, {{currency}}",
            ),
            unit="percentunit",
            highest=1,
        ),
        bars(
            "Outstanding, by platform",
            "In minor units; the twenty largest platforms by name, the others together.",
            'sort_desc(sum by (currency, platform) (forewarn_portfolio_platform_outstanding_minor{job=~"$job"}))',
            "{{platform}}, {{currency}}",
        ),
        bars(
            "Rate past due, by platform",
            "What is past due against what is outstanding: whose borrowers pay worse.",
            'sort_desc(sum by (currency, platform) (forewarn_portfolio_platform_overdue_minor{job=~"$job"})'
            ' / sum by (currency, platform) (forewarn_portfolio_platform_outstanding_minor{job=~"$job"}))',
            "{{platform}}, {{currency}}",
            unit="percentunit",
        ),
    )
