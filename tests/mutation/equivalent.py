"""Flips of comparisons that mean the same: by the name `python -m tests.mutation.comparisons` gives them, the reason.

None of them counts as noticed. A flip belongs here only where no input whatever can tell it from the code as it is.
"""

from __future__ import annotations

from typing import Final

EQUIVALENT: Final[dict[str, str]] = {
    "income_picture._set_scene: len(income) > 1 -> len(income) >= 1": (
        "The main currency of one source is its own: the list that comes back is the same."
    ),
    "income_drop._may_be_a_part_month: first_pays > 0 -> first_pays >= 0": (
        "Without any first pay it then says yes where less than `watch` is lost, where nothing is found anyway."
    ),
    "income_drop._next_settled_check: today < last_day -> today <= last_day": (
        "On the last day it then names that very day instead of none, and only days after today are taken."
    ),
    "risk_score.wakes_ms: due_day - QUIET_DAYS > day -> due_day - QUIET_DAYS >= day": (
        "It is asked only about who is forgotten: nothing falls due within `QUIET_DAYS`, so the two are never equal."
    ),
    "asset_flight.next_deadline_ms: due_day < oldest_day -> due_day <= oldest_day": (
        "Of two loans due on the same day either says the same day."
    ),
    "asset_flight.is_watched_on: known_ms >= now.upto_ms -> known_ms > now.upto_ms": (
        "`balances_at` gives the same balances where all is known by then."
    ),
    "income_outlook._known_outlook: known.from_ms <= at_ms < known.until_ms -> known.from_ms < at_ms < known.until_ms": (
        "As of the instant at which it was told it is told anew, and says the same."
    ),
    "income_picture.picture_of: len(owns) > 1 -> len(owns) >= 1": (
        "The sum of a single list is that list, and its usual level the one already told."
    ),
    "payment_at_risk.next_deadline_ms: look_day < next_day -> look_day <= next_day": (
        "Of two looks on the same day either says the same day."
    ),
    "risk_score._look_ahead: known_ms >= loan.now.upto_ms -> known_ms > loan.now.upto_ms": (
        "`balances_at` gives the same balances where all is known by then."
    ),
    "risk_score._look_ahead: due_day < next_due_day -> due_day <= next_due_day": (
        "Of two loans due on the same day either says the same day."
    ),
    "risk_score._look_ahead: look_day - due_day > days_past_due -> look_day - due_day >= days_past_due": (
        "Of two loans as many days late either says as many."
    ),
    "over_indebtedness._out_of_reach_until_day: enough_until_day < until_day -> enough_until_day <= until_day": (
        "Of two equal days either is the earlier."
    ),
    "payment_at_risk.judge: most_minor(balances, currency, day) >= enough * sum((short_minor for _, short_minor in dues[currency])) -> most_minor(balances, currency, day) > enough * sum((short_minor for _, short_minor in dues[currency]))": (
        "Who has just enough is looked at closely then, and a coverage at the threshold finds nothing either."
    ),
    "payment_at_risk._next_look_day: day < due_day - days < look_day -> day < due_day - days <= look_day": (
        "Of two equal days either is the earlier."
    ),
    "payment_at_risk._enough_minor: wanted_minor > enough_minor -> wanted_minor >= enough_minor": (
        "Of two equal amounts either is the larger."
    ),
    "income_outlook._steady: standing.stream.days[-1] > last_day -> standing.stream.days[-1] >= last_day": (
        "Of two equal days either is the later."
    ),
    "income_outlook._steady: standing.until_day < until_day -> standing.until_day <= until_day": (
        "Of two equal days either is the earlier."
    ),
    "income_outlook.next_fall_day: today < standing.until_day < next_day -> today < standing.until_day <= next_day": (
        "Of two equal days either is the earlier."
    ),
    "income_outlook.next_fall_day: today < standing.until_day < next_day -> today <= standing.until_day < next_day": (
        "What stands today stands until a later day."
    ),
    "income_outlook.lost_fraction: from_ms <= at_ms < until_ms -> from_ms < at_ms < until_ms": (
        "As of the instant at which it was told it is told anew, and says the same."
    ),
    "income_outlook.outlook_of: counting_day < fall_day -> counting_day <= fall_day": (
        "Of two equal days either is the earlier."
    ),
    "income_outlook.outlook_of: counting_day < loss_day -> counting_day <= loss_day": (
        "Of two equal days either is the earlier."
    ),
    "income_picture._levels_on: level > variation -> level >= variation": (
        "A level as large as the variation leaves nothing either way."
    ),
    "income_picture._levels_on: level >= cap -> level > cap": ("A level at the cap is the cap."),
    "income_picture._of_main_currency: pays.source.currency == first -> pays.source.currency != first": (
        "The first is never unlike itself: all are counted, and the only currency there is has most pays."
    ),
    "income_picture.picture_of: full_day > last_full_day -> full_day >= last_full_day": (
        "Of two equal days either is the later."
    ),
    "unreachable.next_deadline_ms: change_ms < next_ms -> change_ms <= next_ms": (
        "Of two equal instants either is the earlier."
    ),
    "unreachable.past_due_since_ms: due_day < oldest_day -> due_day <= oldest_day": (
        "Of two equal days either is the older."
    ),
    "missed_payment.next_deadline_ms: loan.now.upto_ms <= known_ms -> loan.now.upto_ms < known_ms": (
        "Where all is known by then nothing follows, and the loop returns its first step, the very same."
    ),
    "missed_payment._next_step_ms: known_ms > after_ms -> known_ms >= after_ms": (
        "Of two equal instants either is the later."
    ),
    "risk_score._look_ahead: -QUIET_DAYS <= due_day - day <= QUIET_DAYS -> -QUIET_DAYS < due_day - day <= QUIET_DAYS": (
        "Where it says no `is_forgotten` is asked, which compares the same two days."
    ),
    "risk_score._look_ahead: -QUIET_DAYS <= due_day - day <= QUIET_DAYS -> -QUIET_DAYS <= due_day - day < QUIET_DAYS": (
        "Where it says no `is_forgotten` is asked, which compares the same two days."
    ),
    "risk_score._look_ahead: opened_ms < first_opened_ms -> opened_ms <= first_opened_ms": (
        "Of two equal instants either is the earlier."
    ),
    "risk_score._look_ahead: balances.worst_days_past_due > worst_days -> balances.worst_days_past_due >= worst_days": (
        "Of two loans that were as late either says as many days."
    ),
    "risk_score._seen: ahead.days_past_due >= rules.policy.risk.target_days_late -> ahead.days_past_due > rules.policy.risk.target_days_late": (
        "At the target `_reaches`, without which nothing is found either, says no by the same comparison."
    ),
    "income_outlook.awaits_pay: day - fresh_days <= source.days[-1] < monday -> day - fresh_days < source.days[-1] < monday": (
        "A pay of just that age passes the question by age that comes next, too."
    ),
    "income_outlook._remember_loss: account.links[-1] // 2 > at_ms -> account.links[-1] // 2 >= at_ms": (
        "What is not kept is told anew, and a link of that very instant is seen in both."
    ),
    "income_sight.was_always_seen: len(links) <= 1 -> len(links) < 1": (
        "Of a single link, all are links where it is one."
    ),
    "risk_score._sightings_in_window: tracks[-1].start_ms <= since_ms -> tracks[-1].start_ms < since_ms": (
        "What began just then, and all before it, is left out one by one, too."
    ),
}
