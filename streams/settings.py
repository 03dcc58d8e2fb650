"""Every limit and address of a worker, by name, with its unit and its reason.

A setting comes from the environment (`FOREWARN_BROKER` sets `broker`), from the command line, or from its default here.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from streams.credentials import SECRETS, CredentialsError, check_credentials

Milliseconds = Annotated[int, Meta(ge=0, le=7 * 24 * 3600 * 1000)]
Positive = Annotated[int, Meta(ge=1)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]*$", max_length=100)]
Host = Annotated[str, Meta(min_length=1, max_length=255)]
Port = Annotated[int, Meta(ge=1, le=65535)]

ENVIRONMENT_PREFIX: Final = "FOREWARN_"


class SettingsError(ValueError):
    """A setting that does not fit: the message names it and what is allowed."""


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a worker is told. The order: where, what, order and time, batches, time limits."""

    broker: str = "localhost:9092"
    """Kafka's bootstrap servers, `host:port`, several with commas."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """What is spoken with the brokers, by every client of the process, in Kafka's own words. `SSL` is TLS."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = None
    """How the process tells who it is; needed with `SASL_...`. Only SCRAM goes without TLS: the others show their secret."""
    sasl_username: str | None = None
    """Who it is, with PLAIN and SCRAM."""
    sasl_password_file: str | None = None
    """File with the password, with PLAIN and SCRAM. Secrets come from files alone: a variable is inherited by every child
    process and shown by its tools. One line break at the end does not count."""
    tls_ca_file: str | None = None
    """Certificates (PEM) of the authorities who may vouch for the brokers; the system's by default. Host names are checked."""
    tls_certificate_file: str | None = None
    """Our own certificate (PEM, with its chain), where the brokers ask for one."""
    tls_key_file: str | None = None
    """Its private key (PEM); by default it is in the certificate's file."""
    tls_key_password_file: str | None = None
    """File with the password of that key, where it has one."""
    oauth_token_file: str | None = None
    """OAUTHBEARER: file with the token, which somebody else renews (a projected service account, say); read anew for each
    connection."""
    oauth_token_url: str | None = None
    """OAUTHBEARER: where the token is asked for instead, as `oauth_client_id` (RFC 6749, client credentials); asked anew when
    four fifths of its life have passed."""
    oauth_client_id: str | None = None
    """Who asks there."""
    oauth_client_secret_file: str | None = None
    """File with that client's secret."""
    oauth_scope: str | None = None
    """What is asked for there, where the provider wants to be told."""
    topic_prefix: Name = ""
    """Stands before every topic name, so that several installations share one Kafka."""
    group_id: Name = "forewarn"
    """Consumer group of the workers."""
    transactional_id_prefix: Name = ""
    """The producer of task 3 is `<prefix>-3`. Two installations on one Kafka must differ here, or they fence each other:
    by default it is topic prefix and group."""
    partitions: Annotated[int, Meta(ge=1, le=10_000)] = 8
    """Partitions of each input topic, so the number of tasks. Only `topics apply` looks at it; later it is a fact."""
    replication_factor: Annotated[int, Meta(ge=-1, le=32)] = -1
    """Replicas of each topic; -1 leaves it to the broker's default."""
    policy_file: str | None = None
    """Policy to use while the `policies` topic names no current one."""
    policy_poll_interval_ms: Annotated[int, Meta(ge=10)] = 5_000
    """How often is looked for a policy, and for a scorecard, published since: each is one question to the broker."""
    learning: bool = True
    """Whether this worker learns when it is its turn to; of all workers one does at a time. Without any, borrowers are observed
    and cards published by others are taken up all the same. A replay that is to tell the same however fast it goes does
    without: in event time a card counts from when it is there, and that depends on how far others came meanwhile."""
    mapping_file: str | None = None
    """How the lender's own payloads become events (`streams/mapping`). Feeds it does not name come as the contract has them."""
    schema_registry_url: str | None = None
    """Where Avro and Protobuf schemas are asked for that the mapping names no file for, like `http://host:8081`."""
    schema_registry_auth_file: str | None = None
    """A file with `user:password` for it."""
    credit_queries_topic: Name = ""
    """Name of the lender's own topic for this feed, whole and without prefix; by default it is ours: prefix and `credit-queries`."""
    fund_flows_topic: Name = ""
    """The same for `fund-flows`."""
    repayments_topic: Name = ""
    """The same for `repayments`."""
    servicing_topic: Name = ""
    """The same for `servicing`."""
    pseudonym_key_file: str | None = None
    """Replace borrower ids by keyed pseudonyms on the way in (`streams/pseudonym.py`); off by default. It is chosen once:
    state of other ids is refused."""
    webhooks_file: str | None = None
    """Endpoints that alerts are delivered to over HTTP (`streams/webhooks/endpoints.py`); none by default. The topic
    `webhook-dead-letters` is made and asked for only with it."""
    until_end: bool = False
    """Stop when everything that was in the input topics at the start is consumed and committed."""
    web_port: Port | None = None
    """Port of the worker's pages; none by default, so that several workers run on one machine."""
    web_host: Host = "127.0.0.1"
    """Address that the pages are bound to. They have no password: another one than this machine's own is a choice."""
    portfolio_interval_ms: Milliseconds = 60_000
    """A task's borrowers are surveyed anew so often at most, for the figures of the portfolio; 0 is never. A survey costs a
    hundredth of the speed while it lasts, however many borrowers there are (`decisions/0009-figures-of-the-portfolio.md`)."""

    clock: Literal["event", "wall"] = "wall"
    """`event` waits until every topic shows what it has next (replays); `wall` waits so long at most (live)."""
    merge_wait_ms: Milliseconds = 20
    """`wall`: how long a caught-up topic holds the others. Covers the difference in delay between producers."""
    feed_probe_interval_ms: Annotated[int, Meta(ge=10)] = 2_000
    """How often the ends of all input partitions are looked at, to tell a silent feed from an idle partition."""
    feed_silence_ms: Milliseconds = 15 * 60_000
    """A feed none of whose partitions moved for so long is silent: judgements of absence wait."""
    feed_return_grace_ms: Milliseconds = 10 * 60_000
    """They wait so long after its return as well: the backlog comes first."""

    merge_buffer_records_max: Positive = 12_000
    """Records of one topic waiting in one task before its partition is paused; each takes some 1.5 KB, decoded."""
    merge_buffer_batches_max: Positive = 2
    """The same in polls, each at most a share of `poll_records_max`: the bound on memory when records are large, or tasks many."""
    poll_records_max: Positive = 2_000
    """Records of one topic taken at once from what was fetched, in even shares of the worker's tasks: four times what a turn processes.
    The rest of a fetch waits as it came, compressed and a quarter of the size of decoded events."""
    fetch_partition_bytes_max: Annotated[int, Meta(ge=64 * 1024, le=2**31 - 1)] = 1024 * 1024
    """Bytes fetched at once from one partition: some 3,600 events, or more where producers compress. The client asks for more only when
    all of it was taken: with a half of it the pipeline alone has 0.66 of its speed, with a quarter 0.37. A single larger record still
    comes through (KIP-74)."""
    fetch_wait_ms: Milliseconds = 50
    """How long the broker may hold an empty fetch. A partition that was not part of it waits as long for its next."""
    turn_events_max: Positive = 500
    """Events processed before the network gets its turn: about 5 ms, so that commits and heartbeats flow."""
    commit_interval_ms: Annotated[int, Meta(ge=1, le=60_000)] = 60
    """How often a task with output commits: half of it is the typical delay of an alert, beside the wait of the merge."""
    backlog_commit_interval_ms: Annotated[int, Meta(ge=1, le=60_000)] = 5_000
    """A task that is behind takes as long between two commits as it is late, but no longer than this: its alerts are late
    anyway, and a state that changes often is written once for all of it."""
    backlog_records_min: Positive = 5_000
    """Records waiting, read or not, from which on a task is behind: some tenths of a second of work."""
    commit_events_max: Positive = 50_000
    """Events in one transaction: bounds what a restart repeats."""
    commit_states_max: Positive = 10_000
    """Changed states in one transaction: some 20 MB, which are encoded at one instant (a quarter of a second)."""
    pictures_max: Positive = 12_000
    """Borrowers of the worker kept decoded, some 27 KB each, in even shares of its tasks: ten thousand with room for tasks that have more
    of them than others. All others are held as their records, and each becomes its record again right after its event: to touch one
    costs about twice as much. A task with more than four times its share of borrowers keeps none."""
    deadlines_at_once_max: Positive = 1_000
    """Deadlines passed in one turn, in even shares of the worker's tasks: some tenths of a second. A midnight is the deadline of a
    sixth of all borrowers, and to judge these takes a million half a minute: longer than a session, or a transaction, may last."""
    commit_refused_bytes_max: Positive = 8 * 1024 * 1024
    """Bytes of refused records in one transaction: a flood of garbage must not pile up in memory."""
    commits_per_second_max: Annotated[float, Meta(gt=0, le=10_000)] = 80.0
    """Transactions of the whole process: each costs about 2 ms of client CPU, so 80 are a sixth of a core."""
    producer_batch_bytes_max: Annotated[int, Meta(ge=16 * 1024, le=1024 * 1024)] = 512 * 1024
    """Bytes of records put into one produced batch; below `max.message.bytes` of every output topic."""
    restores_at_once_max: Positive = 2
    """Tasks restored side by side: reading overlaps with decoding; more would only share the one core."""

    start_timeout_ms: Milliseconds = 12_000
    """To find the broker and check the topics: with it, a missing broker is told within 15 s."""
    session_timeout_ms: Milliseconds = 10_000
    """A worker that sends no heartbeat for so long has lost its tasks."""
    heartbeat_interval_ms: Milliseconds = 1_000
    """A tenth of the session. A worker learns from its next heartbeat that tasks move, and all that time nobody has those of a
    worker that left: so it is a part of every hand-over."""
    rebalance_timeout_ms: Milliseconds = 30_000
    """How long the group waits for a worker to hand over. More than `handover_timeout_ms`."""
    handover_timeout_ms: Milliseconds = 10_000
    """How long a worker tries to finish its transactions when tasks are about to move."""
    unready_after_ms: Milliseconds = 15_000
    """A worker that stands still for so long although there is work says on `/readyz` that it is not ready."""
    progress_timeout_ms: Milliseconds = 90_000
    """After so long it ends itself with a diagnosis: more than any single limit below, so that those speak first."""
    turn_timeout_ms: Annotated[int, Meta(ge=1_000)] = 240_000
    """A process whose loop does not turn at all for so long is ended, with the stacks of its threads on stderr. More than
    a start or an orderly stop may take."""
    exit_timeout_ms: Milliseconds = 15_000
    """When the pipeline has ended, committed or not, the process is gone after so long."""
    poll_interval_max_ms: Milliseconds = 300_000
    """A worker whose loop does not turn for so long leaves the group by itself."""
    producer_start_timeout_ms: Milliseconds = 60_000
    """To fence the former producer and finish its transaction; more than the broker's `transaction.timeout`."""
    transaction_timeout_ms: Annotated[int, Meta(ge=1_000, le=900_000)] = 30_000
    """After this the broker aborts what a dead worker left open, so that readers go on."""
    begin_timeout_ms: Milliseconds = 10_000
    """To begin a transaction: a step of the client alone, so one that takes longer is stuck."""
    send_timeout_ms: Milliseconds = 30_000
    """To hand records to the producer, and to have all acknowledged: a leader change takes seconds."""
    offsets_timeout_ms: Milliseconds = 30_000
    """`send_offsets_to_transaction` naming a missing topic never returns (measured)."""
    commit_timeout_ms: Milliseconds = 30_000
    """After it nobody knows whether the transaction is in the log, so the process ends."""
    abort_timeout_ms: Milliseconds = 5_000
    """To take a transaction back; else `transaction_timeout_ms` does it."""
    producer_stop_timeout_ms: Milliseconds = 5_000
    """To close a producer; what hangs then is left to the end of the process."""
    source_stop_timeout_ms: Milliseconds = 10_000
    """To leave the group in good order; else the session runs out."""
    restore_stall_timeout_ms: Milliseconds = 60_000
    """A restore that reads nothing new for so long is given up."""
    offsets_query_timeout_ms: Milliseconds = 30_000
    """To ask for log ranges and committed offsets."""
    witness_timeout_ms: Milliseconds = 10_000
    """How long group offsets may differ from the progress record: a marker may still be on its way."""

    def transactional_id(self, task: int) -> str:
        """Fixed for a task, whoever holds it: that is what fences a zombie."""
        return f"{self.transactional_id_prefix or self.topic_prefix + self.group_id}-{task}"


def lender_setting(topic: str) -> str:
    """The setting that names the lender's own topic for a feed."""
    return topic.replace("-", "_") + "_topic"


def load_settings(environment: Mapping[str, str], overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings: `overrides` (the command line) over the environment over the defaults.

    Raises:
        SettingsError: naming the setting and what is allowed. Variables `FOREWARN_...` that are no setting of the
            worker are left alone: other commands have theirs.
    """
    fields = Settings.__struct_fields__
    values: dict[str, Any] = {
        field: environment[name]
        for field in fields
        if (name := ENVIRONMENT_PREFIX + field.upper()) in environment
    }
    for field, value in (overrides or {}).items():
        if field not in fields:
            nearest = difflib.get_close_matches(field, fields, n=1, cutoff=0.5)
            hint = f"; did you mean {nearest[0]}?" if nearest else ""
            raise SettingsError(f"unknown setting {field}{hint}")
        values[field] = value
    try:
        settings = msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        raise SettingsError(f"setting {where.rstrip('`') or '?'}: {what[0].lower()}{what[1:]}") from error
    _check_limits(settings)
    _check_credentials(settings, environment)
    return settings


def _check_credentials(settings: Settings, environment: Mapping[str, str]) -> None:
    for secret, file in SECRETS.items():
        if ENVIRONMENT_PREFIX + secret.upper() in environment:
            raise SettingsError(
                f"variable {ENVIRONMENT_PREFIX}{secret.upper()}: a secret comes from a file, never from a variable; unset it and "
                f"set {file}"
            )
    try:
        check_credentials(settings)
    except CredentialsError as error:
        raise SettingsError(f"setting {error}") from error


def _check_limits(settings: Settings) -> None:
    for lower, higher in (
        ("heartbeat_interval_ms", "session_timeout_ms"),
        ("handover_timeout_ms", "rebalance_timeout_ms"),
        ("transaction_timeout_ms", "producer_start_timeout_ms"),
    ):
        if getattr(settings, lower) >= getattr(settings, higher):
            message = f"setting {lower}: must be below {higher} ({getattr(settings, higher)})"
            raise SettingsError(message)
    named: dict[str, str] = {}
    for field in settings.__struct_fields__:
        if field.endswith("_topic") and (name := getattr(settings, field)):
            if name in named:
                raise SettingsError(
                    f"setting {field}: {name} is {named[name]} already; each feed has a topic of its own, with its own order"
                )
            named[name] = field
