"""*Model*: is it right? For those who answer for the scorecard."""

from __future__ import annotations

from collections.abc import Sequence

from deploy.grafana.panels import Panel, frame, lines, number, query, stacked

_LEARNS = ' and on (job, instance) forewarn_training{job=~"$job"} == 1'
"""Only the worker that learns now knows: figures of one that did so before are old."""


def dashboard() -> dict[str, object]:
    """How good it is, on what that rests, what became of the cards, and whether another model would be better."""
    return frame(
        "forewarn-model",
        "Forewarn / Model",
        "Is it right?",
        {
            "How well it foretells": _quality(),
            "What that rests on": _labels(),
            "Scorecards": _cards(),
            "Challengers": _challengers(),
        },
    )


def _quality() -> Sequence[Panel]:
    return (
        number(
            "AUC",
            "How well bad ones are told from good ones, each judged before it was learnt from; 0.5 is guessing.",
            _of_all("auc"),
            steps=((None, "red"), (0.6, "orange"), (0.7, "green")),
        ),
        number(
            "KS",
            "The largest distance between the scores of bad ones and of good ones.",
            _of_all("ks"),
            steps=((None, "red"), (0.2, "orange"), (0.3, "green")),
        ),
        number(
            "Log-loss",
            "What each surprise costs; compare it with itself, for it depends on the bad rate.",
            _of_all("log_loss"),
        ),
        number(
            "Calibration error",
            "By how much the probability that is told and the part that goes bad differ, over tenths of the scores.",
            _of_all("calibration_error"),
            unit="percentunit",
            steps=((None, "green"), (0.02, "orange"), (0.05, "red")),
        ),
        number(
            "Bad rate",
            "Part of the examples that went bad.",
            _of_all("bad_rate"),
            unit="percentunit",
        ),
        number(
            "Drifts, seven days",
            "Times that the model was found to foretell another way than before.",
            'sum(increase(forewarn_drifts_total{job=~"$job"}[7d]))',
            steps=((None, "green"), (1, "orange"), (3, "red")),
        ),
        lines(
            "AUC, by segment",
            "All together, and each segment that has enough examples.",
            query(_of_all("auc"), "all"),
            query(_by_segment("auc"), "{{segment}}"),
            lowest=0.4,
            highest=1,
            limit=((None, "transparent"), (0.5, "red")),
        ),
        lines(
            "Calibration error, by segment",
            "A segment that is wrong while all together are right is priced wrong.",
            query(_of_all("calibration_error"), "all"),
            query(_by_segment("calibration_error"), "{{segment}}"),
            unit="percentunit",
        ),
    )


def _labels() -> Sequence[Panel]:
    return (
        stacked(
            "Matured an hour, by what became of them",
            "Borrowers observed once a month, of whom is known now whether they went bad. Censored: disputed, deceased, refinanced.",
            query(
                'sum by (outcome) (rate(forewarn_matured_total{job=~"$job"}[$__rate_interval])) * 3600',
                "{{outcome}}",
            ),
        ),
        stacked(
            "Learnt from an hour, by what became of them",
            "The same as they reach the model. Far fewer than matured: nobody learns, or learning is behind.",
            query(
                'sum by (outcome) (rate(forewarn_examples_total{job=~"$job"}[$__rate_interval])) * 3600',
                "{{outcome}}",
            ),
        ),
        lines(
            "Examples that the figures rest on, by segment",
            "By weight: older ones weigh less.",
            query(_of_all("examples"), "all"),
            query(_by_segment("examples"), "{{segment}}"),
        ),
        lines(
            "Bad rate, by segment",
            "Part of the examples that went bad.",
            query(_of_all("bad_rate"), "all"),
            query(_by_segment("bad_rate"), "{{segment}}"),
            unit="percentunit",
        ),
    )


def _cards() -> Sequence[Panel]:
    return (
        lines(
            "Cards in the last day, by what became of them",
            "Published, or refused by the guard and why: a bad card is never put in force.",
            query('sum by (outcome) (increase(forewarn_card_steps_total{job=~"$job"}[1d]))', "{{outcome}}"),
        ),
        stacked(
            "Tasks, by scorecard in force",
            "All tasks weigh by one card, but for the moment in which a new one takes effect.",
            query('sum by (version) (forewarn_scorecard_tasks{job=~"$job"})', "{{version}}"),
        ),
        lines(
            "Drifts in the last day, by what drifts",
            "The residual: bad ones come more often or less often than foretold. The log-loss: the model is surprised more.",
            query('sum by (watched) (increase(forewarn_drifts_total{job=~"$job"}[1d]))', "{{watched}}"),
        ),
        lines(
            "Workers that learn",
            "One at a time. None: nobody's turn, or every worker was told not to.",
            query('sum(forewarn_training{job=~"$job"})', "learning"),
            query(
                'sum(increase(forewarn_training_restarts_total{job=~"$job"}[1h]))',
                "begun anew in the last hour",
            ),
        ),
        stacked(
            "Borrowers, by tier of risk",
            "What the card makes of the book: a new card must not turn it over.",
            query('sum by (tier) (forewarn_portfolio_borrowers{job=~"$job"})', "{{tier}}"),
        ),
        lines(
            "New alerts of the score an hour, by severity",
            "Of the signal `risk_score`: what the model alone sees.",
            query(
                "sum by (severity)"
                ' (rate(forewarn_alerts_total{job=~"$job", signal="risk_score", status="opened"}[$__rate_interval])) * 3600',
                "{{severity}}",
            ),
        ),
    )


def _challengers() -> Sequence[Panel]:
    return (
        lines(
            "AUC of challengers and cards",
            "On the same sample, each example judged before it was learnt from. A challenger that stays above the card by 0.02"
            " has found what the card cannot express.",
            query(_of_challengers("auc"), "{{model}}"),
            lowest=0.4,
            highest=1,
        ),
        lines(
            "KS of challengers and cards",
            "The same: the largest distance between the scores of bad ones and of good ones.",
            query(_of_challengers("ks"), "{{model}}"),
        ),
        lines(
            "Log-loss of challengers and cards",
            "The same; less is better.",
            query(_of_challengers("log_loss"), "{{model}}"),
        ),
        lines(
            "Calibration error of challengers and cards",
            "The same; less is better.",
            query(_of_challengers("calibration_error"), "{{model}}"),
            unit="percentunit",
        ),
        lines(
            "Judged on the sample",
            "Since the worker that learns was started.",
            query(f'forewarn_challenger_judged{{job=~"$job"}}{_LEARNS}', "judged"),
        ),
        stacked(
            "Sampled examples an hour",
            "Learnt from by challengers, and skipped because too many waited.",
            query(
                'sum by (outcome) (rate(forewarn_challenger_examples_total{job=~"$job"}[$__rate_interval])) * 3600',
                "{{outcome}}",
            ),
        ),
    )


def _of_all(figure: str) -> str:
    return f'forewarn_model_{figure}{{job=~"$job", segment=""}}{_LEARNS}'


def _by_segment(figure: str) -> str:
    return f'forewarn_model_{figure}{{job=~"$job", segment!=""}}{_LEARNS}'


def _of_challengers(figure: str) -> str:
    return f'forewarn_challenger_{figure}{{job=~"$job"}}{_LEARNS}'
