"""Every metric: its name, kind, unit, labels and meaning, and of every label what bounds it.

Names follow Prometheus: `forewarn_` before and, for counters, `_total` behind are added where they are shown; seconds, bytes
and ratios are base units and end the name. Amounts are in minor units of their `currency` and end in `_minor`. A figure of a
whole installation is the sum over its workers; ratios are left to whoever asks, because they cannot be summed.

The names are one `Literal` a kind, so that a mistyped one does not type-check. `tests/streams/test_metrics.py` holds names,
code and `deploy/METRICS.md` together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Final, Literal, get_args

from msgspec import Struct

from models.alerts import SeverityName, SignalName, Status, Tier
from models.events import TOPICS
from models.limits import CARDS_REMEMBERED_MAX, POLICIES_REMEMBERED_MAX
from models.portfolio import BUCKETS
from models.rejects import PayloadReason, StateReason
from streams.webhooks.endpoints import ENDPOINTS_MAX

CounterName = Literal[
    "events",
    "processed",
    "rejects",
    "unknown_words",
    "alerts",
    "commits",
    "state_records",
    "state_written_bytes",
    "noticed",
    "rebalances",
    "policies",
    "matured",
    "scorecards",
    "examples",
    "card_steps",
    "drifts",
    "training_restarts",
    "challenger_examples",
    "challengers_withdrawn",
    "webhook_messages",
    "webhook_attempts",
]
GaugeName = Literal[
    "ready",
    "stalled_seconds",
    "tasks",
    "consumer_lag_records",
    "consumer_lag_age_seconds",
    "buffered_records",
    "watermark_delay_seconds",
    "feed_silent",
    "feed_idle_seconds",
    "borrowers",
    "state_bytes",
    "restored_records",
    "restore_remaining_records",
    "restore_remaining_seconds",
    "policy_tasks",
    "policies_age_seconds",
    "scorecard_tasks",
    "scorecards_age_seconds",
    "training",
    "model_examples",
    "model_bad_rate",
    "model_auc",
    "model_ks",
    "model_log_loss",
    "model_calibration_error",
    "challenger_judged",
    "challenger_auc",
    "challenger_ks",
    "challenger_log_loss",
    "challenger_calibration_error",
    "portfolio_borrowers",
    "portfolio_moved_borrowers",
    "portfolio_open_alerts",
    "portfolio_outstanding_minor",
    "portfolio_overdue_minor",
    "portfolio_platform_outstanding_minor",
    "portfolio_platform_overdue_minor",
    "portfolio_currencies_left_out",
    "portfolio_tasks",
    "portfolio_age_seconds",
    "webhook_pending",
    "webhook_disabled",
]
HistogramName = Literal["batch_seconds", "commit_seconds", "restore_seconds", "alert_latency_seconds"]
MetricName = CounterName | GaugeName | HistogramName
Kind = Literal["counter", "gauge", "histogram"]
Unit = Literal["seconds", "bytes", "minor units", "records", "things", "ratio", "nats", "yes or no"]
LabelName = Literal[
    "topic",
    "type",
    "reason",
    "field",
    "signal",
    "status",
    "severity",
    "what",
    "outcome",
    "watched",
    "model",
    "phase",
    "partition",
    "task",
    "version",
    "segment",
    "tier",
    "bucket",
    "before",
    "currency",
    "platform",
    "endpoint",
]

PORTFOLIO_PLATFORMS_MAX: Final = 20
"""Platforms shown by name: those with most outstanding; the others are added up."""
PORTFOLIO_CURRENCIES_MAX: Final = 8
"""Currencies shown: those of most loans. A lender has one or two; what is beyond is counted, for it cannot be added up."""
PREFIX: Final = "forewarn_"

_WATCHED: Final = ("residual", "log_loss")
"""`models.risk.drift.WATCHED`, without its River: every command line reads this module."""
_REASONS: Final = (*get_args(PayloadReason), *get_args(StateReason))


class Bound(Struct, frozen=True):
    """Why a label cannot grow: at most so many values in one process, and what they are."""

    values_max: int
    why: str


LABELS: Final[dict[LabelName, Bound]] = {
    "topic": Bound(len(TOPICS) + 1, "what a task reads: the input topics and `linked-risk`, without prefix"),
    "type": Bound(
        32,
        "the event types of the contract; `rejected`, `ignored`, `message` beside them",
    ),
    "reason": Bound(len(_REASONS), "the closed list in `models/rejects.py`"),
    "field": Bound(32, "`type.field` of the contract's fields with enumerated words"),
    "signal": Bound(len(get_args(SignalName)), "the signals"),
    "status": Bound(len(get_args(Status)), "of the alert contract"),
    "severity": Bound(len(get_args(SeverityName)), "of the alert contract"),
    "what": Bound(96, "names in the code, some with an event type behind them"),
    "outcome": Bound(16, "names in the code"),
    "watched": Bound(len(_WATCHED), "what drift is looked for in"),
    "model": Bound(8, "the packaged challengers, and the scorecards themselves"),
    "phase": Bound(2, "`open`, `opening`"),
    "partition": Bound(
        10_000, "partitions of the input topics (setting `partitions`); only those of this worker"
    ),
    "task": Bound(10_000, "as `partition`, for a task is a partition number"),
    "version": Bound(
        CARDS_REMEMBERED_MAX + POLICIES_REMEMBERED_MAX,
        "in force in some task; what is in force no more is shown no more",
    ),
    "segment": Bound(
        18,
        "those that the learner keeps figures of, 16 and `…` for the others; empty for all of them together",
    ),
    "tier": Bound(len(get_args(Tier)), "of the alert contract"),
    "bucket": Bound(len(BUCKETS), "days past due, by collections practice"),
    "before": Bound(len(BUCKETS) + 1, "a bucket, thirty days ago; `none`: there was no loan yet"),
    "currency": Bound(PORTFOLIO_CURRENCIES_MAX, "those of most loans; the others are counted"),
    "platform": Bound(PORTFOLIO_PLATFORMS_MAX + 1, "those with most outstanding; the rest is `other`"),
    "endpoint": Bound(ENDPOINTS_MAX, "webhook endpoints, by their names in `webhooks_file`"),
}
"""Of every label what bounds it. None is a borrower, a loan or an account, and none is free text."""


class Described(Struct, frozen=True):
    """What a metric says, in both languages of the product, and by what it is told apart."""

    meaning: str
    meaning_zh: str
    labels: tuple[LabelName, ...] = ()
    unit: Unit = "things"
    from_zero: tuple[tuple[str, ...], ...] = ()
    """Labels of which a counter is shown before the first time: else what happens once is no increase."""
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram, in its unit."""


def _each(*words: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    return tuple(product(*words))


COUNTERS: Final[dict[CounterName, Described]] = {
    "events": Described(
        "Records read, as decoded: by type, `rejected` where they cannot be read, `ignored` by a mapping, `message` of linked borrowers",
        "已读取并解码的记录，按类型；无法读取的为 `rejected`，映射忽略的为 `ignored`，关联借款人的消息为 `message`",
        ("topic", "type"),
        "records",
    ),
    "processed": Described("Records processed, accepted or not", "已处理的记录，无论接受与否", (), "records"),
    "rejects": Described(
        "Records sent to dead-letters",
        "送入 dead-letters 的记录",
        ("topic", "reason"),
        "records",
        _each(TOPICS, _REASONS),
    ),
    "unknown_words": Described(
        "Words that the contract does not know, read as `other`",
        "契约中没有、按 `other` 读取的词",
        ("field",),
    ),
    "alerts": Described(
        "Alert revisions published; those `opened` are the new alerts",
        "已发布的预警修订；`opened` 即新预警",
        ("signal", "status", "severity"),
        "things",
        _each(get_args(SignalName), get_args(Status), get_args(SeverityName)),
    ),
    "commits": Described("Transactions committed", "已提交的事务"),
    "state_records": Described(
        "Borrower states written to the changelog", "写入变更日志的借款人状态", (), "records"
    ),
    "state_written_bytes": Described(
        "Bytes of borrower states written to the changelog", "写入变更日志的借款人状态字节数", (), "bytes"
    ),
    "noticed": Described(
        "What the engine noticed and did not act on", "引擎注意到但未据以行动的情形", ("what",)
    ),
    "rebalances": Described("Assignments received", "收到的任务分配"),
    "policies": Described(
        "Policies published: taken, refused as not valid, or not readable for now",
        "已发布的策略：已采用、因无效而拒绝、或暂时无法读取",
        ("outcome",),
        "things",
        _each(("taken", "refused", "unreadable")),
    ),
    "matured": Described(
        "Observed borrowers of whom is known what became, sent to training-examples",
        "结果已知并送入 training-examples 的观察样本",
        ("outcome",),
        "things",
        _each(("bad", "good", "censored")),
    ),
    "scorecards": Described(
        "Scorecards put in force: taken up, refused as not usable, or not readable for now",
        "生效的评分卡：已采用、因不可用而拒绝、或暂时无法读取",
        ("outcome",),
        "things",
        _each(("taken", "refused", "unreadable")),
    ),
    "examples": Described(
        "Examples learnt from, read again after a restart too; lost: deleted before they were learnt from",
        "用于学习的样本，重启后重读的也计入；lost 为学习前已被删除的",
        ("outcome",),
        "things",
        _each(("bad", "good", "censored", "lost", "unreadable")),
    ),
    "card_steps": Described(
        "Scorecards published, or refused and why",
        "评分卡的发布，或拒绝及其原因",
        ("outcome",),
        "things",
        _each(("published",)),
    ),
    "drifts": Described(
        "Times that the model was found to foretell another way than before",
        "发现模型预测方式变化（漂移）的次数",
        ("watched",),
        "things",
        _each(_WATCHED),
    ),
    "training_restarts": Described(
        "Times that learning began anew at the last card after a failure",
        "学习失败后从上一张评分卡重新开始的次数",
    ),
    "challenger_examples": Described(
        "Sampled examples that challengers learnt from; skipped: too many waited",
        "挑战者模型学习的抽样样本；skipped 为因积压而跳过的",
        ("outcome",),
        "things",
        _each(("learnt", "skipped")),
    ),
    "challengers_withdrawn": Described(
        "Challengers that failed and learn no more", "因失败而不再学习的挑战者模型", ("model",)
    ),
    "webhook_messages": Described(
        "Alert revisions settled for a webhook endpoint: delivered, given up as dead letters, or filtered",
        "对某 webhook 端点已了结的预警修订：已送达、放弃并转为死信、或被过滤",
        ("endpoint", "outcome"),
    ),
    "webhook_attempts": Described(
        "Requests to a webhook endpoint by what came of them",
        "对某 webhook 端点的请求，按结果",
        ("endpoint", "outcome"),
    ),
}
GAUGES: Final[dict[GaugeName, Described]] = {
    "ready": Described(
        "1 while the worker has restored its tasks and gets on, as /readyz says",
        "工作进程已恢复其任务且在推进时为 1，与 /readyz 一致",
        (),
        "yes or no",
    ),
    "stalled_seconds": Described(
        "How long the worker has stood still although there is work; 0 while it gets on",
        "有工作却停滞的时长；正常推进时为 0",
        (),
        "seconds",
    ),
    "tasks": Described("Tasks by phase", "任务数，按阶段", ("phase",)),
    "consumer_lag_records": Described(
        "Offsets between what is committed and the end of the partition that can be read, as last seen",
        "已提交位置与分区可读末端之间的偏移量，以最近一次所见为准",
        ("topic", "partition"),
        "records",
    ),
    "consumer_lag_age_seconds": Described(
        "Since the ends of the partitions were last seen: the lag is as old",
        "距最近一次看到分区末端的时长：积压数据同样旧",
        (),
        "seconds",
    ),
    "buffered_records": Described(
        "Records that wait for their place in the order", "等待排序的记录", ("topic",), "records"
    ),
    "watermark_delay_seconds": Described(
        "Wall clock less the lowest watermark of a feed over the tasks here; in a replay, how long ago its past was",
        "墙上时钟减去本进程各任务中该数据源的最低水位；回放时即历史距今的时长",
        ("topic",),
        "seconds",
    ),
    "feed_silent": Described(
        "1 while a feed as a whole is silent and its judgements of absence wait",
        "数据源整体静默、其缺失类判断暂停时为 1",
        ("topic",),
        "yes or no",
    ),
    "feed_idle_seconds": Described(
        "Since any partition of a feed was last seen to move, or since the start",
        "距该数据源任一分区最近一次有新数据（或自启动）的时长",
        ("topic",),
        "seconds",
    ),
    "borrowers": Described("Borrowers held in memory", "内存中的借款人数"),
    "state_bytes": Described(
        "Bytes of the state records of all borrowers held, as of the restore or the last survey",
        "所持全部借款人状态记录的字节数，以恢复时或最近一次盘点为准",
        (),
        "bytes",
    ),
    "restored_records": Described(
        "Changelog records read by the restore under way; 0 when it is done",
        "进行中的恢复已读取的变更日志记录；完成后为 0",
        ("task",),
        "records",
    ),
    "restore_remaining_records": Described(
        "Changelog records left to read, at most; 0 when it is done",
        "最多还需读取的变更日志记录；完成后为 0",
        ("task",),
        "records",
    ),
    "restore_remaining_seconds": Described(
        "How long a restore still takes if it goes on like this; 0 when it is done",
        "照此速度恢复还需的时长；完成后为 0",
        ("task",),
        "seconds",
    ),
    "policy_tasks": Described("Tasks that judge by a policy", "按某策略判断的任务数", ("version",)),
    "policies_age_seconds": Described(
        "Since the published policies were last read without failure",
        "距上次成功读取已发布策略的时长",
        (),
        "seconds",
    ),
    "scorecard_tasks": Described(
        "Tasks that weigh risk by a scorecard", "按某评分卡评估风险的任务数", ("version",)
    ),
    "scorecards_age_seconds": Described(
        "Since the published scorecards were last read without failure",
        "距上次成功读取已发布评分卡的时长",
        (),
        "seconds",
    ),
    "training": Described(
        "1 in the worker that learns; 0 in the others", "正在学习的工作进程为 1，其余为 0", (), "yes or no"
    ),
    "model_examples": Described(
        "Examples that the figures of the model rest on, by weight",
        "模型指标所依据的样本（加权）",
        ("segment",),
    ),
    "model_bad_rate": Described("Part of them that went bad", "其中变坏的比例", ("segment",), "ratio"),
    "model_auc": Described(
        "AUC of the model, each example judged before it was learnt from",
        "模型的 AUC，每个样本先评后学",
        ("segment",),
        "ratio",
    ),
    "model_ks": Described(
        "The same: distance of Kolmogorov and Smirnov", "同上：KS 距离", ("segment",), "ratio"
    ),
    "model_log_loss": Described("The same: log-loss", "同上：对数损失", ("segment",), "nats"),
    "model_calibration_error": Described(
        "The same: calibration error by deciles", "同上：按十分位的校准误差", ("segment",), "ratio"
    ),
    "challenger_judged": Described(
        "Sampled examples on which challengers and cards were judged, since the start",
        "自启动以来用于评判挑战者与评分卡的抽样样本",
    ),
    "challenger_auc": Described(
        "AUC of a challenger, or of the card, on the sample; each example judged before it was learnt from",
        "挑战者或评分卡在抽样上的 AUC，每个样本先评后学",
        ("model",),
        "ratio",
    ),
    "challenger_ks": Described(
        "The same: distance of Kolmogorov and Smirnov", "同上：KS 距离", ("model",), "ratio"
    ),
    "challenger_log_loss": Described("The same: log-loss", "同上：对数损失", ("model",), "nats"),
    "challenger_calibration_error": Described(
        "The same: calibration error by deciles", "同上：按十分位的校准误差", ("model",), "ratio"
    ),
    "portfolio_borrowers": Described(
        "Borrowers with an open own loan, by tier and by the bucket of the loan longest past due",
        "有未结清自有贷款的借款人，按风险等级和逾期最久贷款的逾期区间",
        ("tier", "bucket"),
    ),
    "portfolio_moved_borrowers": Described(
        "The same borrowers by their bucket thirty days before and their bucket now",
        "同一批借款人，按三十天前与现在的逾期区间（迁徙）",
        ("before", "bucket"),
    ),
    "portfolio_open_alerts": Described("Open alerts", "未结束的预警", ("signal", "severity")),
    "portfolio_outstanding_minor": Described(
        "Outstanding of open own loans, by the loan's bucket",
        "未结清自有贷款的未偿余额，按贷款的逾期区间",
        ("currency", "bucket"),
        "minor units",
    ),
    "portfolio_overdue_minor": Described(
        "What of it is past due", "其中已逾期的金额", ("currency", "bucket"), "minor units"
    ),
    "portfolio_platform_outstanding_minor": Described(
        "Outstanding of open own loans, by platform",
        "未结清自有贷款的未偿余额，按平台",
        ("currency", "platform"),
        "minor units",
    ),
    "portfolio_platform_overdue_minor": Described(
        "What of it is past due", "其中已逾期的金额", ("currency", "platform"), "minor units"
    ),
    "portfolio_currencies_left_out": Described(
        "Currencies of open loans that are not shown, because there are too many",
        "因种类过多而未显示的币种数",
    ),
    "portfolio_tasks": Described(
        "Tasks that the figures of the portfolio rest on; fewer than are open until each was surveyed",
        "组合指标所依据的任务数；在全部盘点之前少于已开放的任务",
    ),
    "portfolio_age_seconds": Described(
        "Since the oldest survey that the figures of the portfolio rest on was begun",
        "组合指标所依据的最早一次盘点开始至今的时长",
        (),
        "seconds",
    ),
    "webhook_pending": Described(
        "Messages for a webhook endpoint that wait in memory; more wait in Kafka",
        "内存中等待发往某 webhook 端点的消息；其余在 Kafka 中等待",
        ("endpoint",),
    ),
    "webhook_disabled": Described(
        "1 where a webhook endpoint answered 410 Gone and hears no more until a restart",
        "某 webhook 端点返回 410 Gone、重启前不再发送时为 1",
        ("endpoint",),
        "yes or no",
    ),
}
_COMMIT_SECONDS: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
HISTOGRAMS: Final[dict[HistogramName, Described]] = {
    "batch_seconds": Described(
        "One turn of processing over all tasks, while the network waits",
        "一轮处理（所有任务）的耗时，期间网络等待",
        unit="seconds",
        buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5),
    ),
    "commit_seconds": Described(
        "From the start of a transaction to its commit",
        "事务从开始到提交的耗时",
        unit="seconds",
        buckets=_COMMIT_SECONDS,
    ),
    "restore_seconds": Described(
        "From the start of a task's producer to its open gate",
        "从任务的生产者启动到任务开放的耗时",
        unit="seconds",
        buckets=(0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600),
    ),
    "alert_latency_seconds": Described(
        "From the timestamp of the record that caused an alert to the commit of that alert",
        "从引发预警的记录的时间戳到该预警提交的耗时",
        unit="seconds",
        buckets=(0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600),
    ),
}


def shown_name(name: MetricName) -> str:
    """As Prometheus shows it; a histogram's series have `_bucket`, `_sum` and `_count` behind."""
    return f"{PREFIX}{name}{'_total' if name in COUNTERS else ''}"


def whole() -> Iterator[tuple[MetricName, Kind, Described]]:
    """Every metric with its kind, in order."""
    for counter, described in COUNTERS.items():
        yield counter, "counter", described
    for gauge, described in GAUGES.items():
        yield gauge, "gauge", described
    for histogram, described in HISTOGRAMS.items():
        yield histogram, "histogram", described
