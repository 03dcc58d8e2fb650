"""The mutants: each breaks one promise of the pipeline, and names the tests that notice.

Where a test stands for many, the cheapest that notices was chosen. A mutant whose text is not found any more has to follow
the code; `test_mutants.py` says so in milliseconds.
"""

from __future__ import annotations

from typing import Final

from tests.mutation.machine import Edit, Mutant

_PIPELINE: Final = "tests/streams/test_pipeline.py"
_PROMISES: Final = "tests/streams/test_promises.py"
_PROMISES_ON_KAFKA: Final = "tests/integration/test_promises_on_kafka.py"
_PORTS: Final = "tests/contracts/test_ports.py"
_ENGINE: Final = "tests/models/test_engine.py"
_FEW_PICTURES: Final = "tests/simulation/test_few_pictures.py"
_SOURCE: Final = "tests/streams/test_kafka_source.py"
_SIMULATED: Final = "tests/simulation/test_simulation.py::test_trouble_changes_nothing[10]"
"""Ten seeds of the simulation: enough to notice what they stand with below."""
_FEEDS: Final = "tests/streams/test_feeds.py"
_REFUSED_RECORD: Final = (
    f"{_PROMISES_ON_KAFKA}::test_nothing_of_a_transaction_is_seen_when_the_broker_refuses_a_record"
)
_FAILED_SEND: Final = f"{_PROMISES}::test_nothing_of_a_transaction_is_seen_when_one_of_its_sends_fails"
_CRASH: Final = f"{_PIPELINE}::test_a_crash_at_any_step_of_a_transaction_changes_nothing"

_TRANSACTION: Final = (
    Mutant(
        name="commit-before-flush",
        broken="The transaction is committed before the send futures are awaited. The client commits although a send "
        "failed, so alerts or states would be missing for good behind a position that says they were written.",
        edits=(
            Edit(
                "streams/task.py",
                """        await self._step(sink.flush())
        await self._step(sink.send_offsets(transaction.offsets))
        await self._step(sink.commit())
""",
                """        await self._step(sink.send_offsets(transaction.offsets))
        await self._step(sink.commit())
        await self._step(sink.flush())
""",
            ),
        ),
        caught_by=(_FAILED_SEND, _REFUSED_RECORD, _SIMULATED),
    ),
    Mutant(
        name="no-flush",
        broken="The send futures are never awaited: a record that the broker refuses is lost without a word.",
        edits=(Edit("streams/task.py", "        await self._step(sink.flush())\n", ""),),
        caught_by=(_FAILED_SEND, _REFUSED_RECORD, _SIMULATED),
    ),
    Mutant(
        name="kafka-flush-looks-at-nothing",
        broken="Kafka's sink waits for its sends but does not look at how they ended: the same loss.",
        edits=(
            Edit(
                "streams/kafka/producer.py", "            if failed:\n                raise failed[0]\n", ""
            ),
        ),
        caught_by=(_REFUSED_RECORD,),
    ),
    Mutant(
        name="offsets-outside-the-transaction-kafka",
        broken="Kafka's sink commits the group's offsets by themselves. A crash before the transaction's commit would "
        "leave the position beyond events whose alerts nobody ever wrote.",
        edits=(
            Edit(
                "streams/kafka/producer.py",
                "            await self._producer.send_offsets_to_transaction(positions, self._settings.group_id)\n",
                """            from aiokafka import AIOKafkaConsumer

            plain = AIOKafkaConsumer(
                bootstrap_servers=self._settings.broker, group_id=self._settings.group_id, enable_auto_commit=False
            )
            await plain.start()
            plain.assign(list(positions))
            await plain.commit({place: found.offset for place, found in positions.items()})
            await plain.stop()
""",
            ),
        ),
        caught_by=(f"{_PROMISES_ON_KAFKA}::test_offsets_of_a_transaction_that_is_taken_back_never_count",),
    ),
    Mutant(
        name="offsets-outside-the-transaction-memory",
        broken="The memory broker shows a transaction's offsets before its commit: the same, where the simulation runs.",
        edits=(
            Edit(
                "streams/memory/broker.py",
                "            transaction.offsets[group, topic, partition] = offset\n",
                "            self._offsets[group, topic, partition] = offset\n",
            ),
        ),
        caught_by=(
            f"{_PORTS}::test_group_offsets_are_those_of_the_last_commit[memory]",
            f"{_CRASH}[commit-before]",
            _SIMULATED,
        ),
    ),
    Mutant(
        name="progress-outside-the-transaction",
        broken="The progress record is left out of what a transaction writes: a restart would have states without a position.",
        edits=(
            Edit(
                "streams/task.py",
                "                OutputRecord(progress_key(self.number), encode_progress(self.progress())),\n",
                "",
            ),
        ),
        caught_by=(f"{_PIPELINE}::test_a_run_until_the_end_processes_everything", f"{_CRASH}[commit-after]"),
    ),
    Mutant(
        name="position-of-the-polled",
        broken="The position written is that of the last record polled: what waited in memory at a crash would be skipped.",
        edits=(
            Edit(
                "streams/task.py",
                "offsets=tuple(self.offsets),\n            timestamp_ms",
                "offsets=tuple(self.polled),\n            timestamp_ms",
            ),
            Edit(
                "streams/task.py",
                "offsets=tuple(self.offsets),\n            merge_keys_ms",
                "offsets=tuple(self.polled),\n            merge_keys_ms",
            ),
        ),
        caught_by=(f"{_PIPELINE}::test_crash_after_crash_changes_nothing[0]", _SIMULATED),
    ),
    Mutant(
        name="offsets-of-a-later-instant",
        broken="The group's offsets are read when they are sent, not when the state was taken: the task has gone on "
        "meanwhile, and the two witnesses contradict each other.",
        edits=(
            Edit(
                "streams/task.py",
                "sink.send_offsets(transaction.offsets)",
                "sink.send_offsets(self.offsets)",
            ),
        ),
        caught_by=(f"{_PIPELINE}::test_crash_after_crash_changes_nothing[0]",),
    ),
    Mutant(
        name="progress-of-an-earlier-instant",
        broken="The progress record is taken before the engine's output: the head of the alert chain in it is the one "
        "before, and after a restart the chain would fork.",
        edits=(
            Edit(
                "streams/task.py",
                "        output = self.engine.take_output(now_ms)\n",
                "        progress = encode_progress(self.progress())\n        output = self.engine.take_output(now_ms)\n",
            ),
            Edit(
                "streams/task.py",
                "OutputRecord(progress_key(self.number), encode_progress(self.progress()))",
                "OutputRecord(progress_key(self.number), progress)",
            ),
        ),
        caught_by=(
            f"{_PROMISES}::test_after_a_lost_answer_the_process_ends_and_nothing_is_twice[commit]",
            _SIMULATED,
        ),
    ),
    Mutant(
        name="doubtful-commit-tried-again",
        broken="A commit whose answer is lost is written once more by the same producer: if it had arrived, every alert "
        "of it is there twice.",
        edits=(
            Edit(
                "streams/task.py",
                "        await self._step(sink.commit())\n",
                """        try:
            await self._step(sink.commit())
        except Exception:
            await self.commit(transaction)
""",
            ),
        ),
        caught_by=(
            f"{_PROMISES}::test_after_a_lost_answer_the_process_ends_and_nothing_is_twice[commit]",
            _SIMULATED,
        ),
    ),
    Mutant(
        name="failed-commit-forgotten",
        broken="A commit that failed counts as finished: the engine goes on, and what it had taken out is in no log.",
        edits=(
            Edit(
                "streams/commits.py",
                "            if not finished.cancelled() and finished.exception() is None:\n",
                "            if finished.cancelled() or finished.exception() or True:\n",
            ),
        ),
        caught_by=(
            f"{_PROMISES}::test_after_a_lost_answer_the_process_ends_and_nothing_is_twice[deliver]",
            f"{_PROMISES}::test_after_a_lost_answer_the_process_ends_and_nothing_is_twice[commit]",
        ),
    ),
    Mutant(
        name="stopped-without-a-commit",
        broken="A worker that is stopped leaves without committing what it has processed: its successor does all of it again, "
        "and a planned restart delays alerts.",
        edits=(Edit("streams/pipeline.py", "            await self._drain()\n", ""),),
        caught_by=(f"{_PIPELINE}::test_stopping_commits_what_was_processed_and_leaves",),
    ),
    Mutant(
        name="judged-state-not-written",
        broken="A state that only a deadline has changed is not written: after a restart the deadline is judged again, and "
        "its alert opens a second time.",
        edits=(
            Edit(
                "models/engine.py",
                """        self._changed.add(borrower_id)
        occasion: Occasion | None = None
""",
                """        occasion: Occasion | None = None
""",
            ),
        ),
        caught_by=(f"{_ENGINE}::test_a_state_that_only_a_deadline_changed_is_handed_out_too",),
    ),
    Mutant(
        name="rejects-hold-nobody-back",
        broken="A repayment that could not be read holds nothing back: who may have paid is called all the same.",
        edits=(
            Edit(
                "models/engine.py",
                "_FAIL_CLOSED_TOPICS: Final = frozenset({REPAYMENTS, SERVICING})\n",
                "_FAIL_CLOSED_TOPICS: Final[frozenset[int]] = frozenset()\n",
            ),
        ),
        caught_by=(f"{_ENGINE}::test_a_rejected_record_of_repayments_or_servicing_fails_closed",),
    ),
    Mutant(
        name="dead-letters-dropped",
        broken="Refused records are counted and thrown away: their bytes are nowhere any more.",
        edits=(
            Edit(
                "streams/task.py",
                "            self._names.dead_letters: self._dead_letters,\n",
                "            self._names.dead_letters: [],\n",
            ),
        ),
        caught_by=(f"{_PIPELINE}::test_a_refused_record_becomes_one_dead_letter",),
    ),
)

_FENCING: Final = (
    Mutant(
        name="gates-open-too-early",
        broken="Partitions are read as soon as they are assigned, before the task is restored and sought.",
        edits=(
            Edit(
                "streams/kafka/source.py",
                "            self._consumer.pause(partition)\n            self._consumer.seek(partition, 0)\n",
                "            self._consumer.seek(partition, 0)\n",
            ),
        ),
        caught_by=(f"{_SOURCE}::test_an_assignment_closes_every_gate",),
    ),
    Mutant(
        name="nobody-hands-over",
        broken="The pipeline is not told that tasks are about to move: running commits are cut off, and what was polled for "
        "tasks that are gone is still processed.",
        edits=(
            Edit(
                "streams/kafka/source.py",
                "        assert self._on_handover is not None\n        await self._on_handover()\n",
                "        assert self._on_handover is not None\n",
            ),
        ),
        caught_by=(f"{_PORTS}::test_members_share_whole_tasks_after_handing_over[kafka]",),
    ),
    Mutant(
        name="random-transactional-id",
        broken="Every producer has a transactional id of its own: nobody fences a worker that was stalled, and it commits "
        "beside its successor.",
        edits=(
            Edit(
                "streams/settings.py",
                '        return f"{self.transactional_id_prefix or self.topic_prefix + self.group_id}-{task}"\n',
                """        import uuid

        return f"{self.transactional_id_prefix or self.topic_prefix + self.group_id}-{task}-{uuid.uuid4()}"
""",
            ),
        ),
        caught_by=(
            f"{_PORTS}::test_a_new_sink_fences_the_old_and_ends_its_transaction[memory]",
            f"{_PORTS}::test_a_new_sink_fences_the_old_and_ends_its_transaction[kafka]",
            f"{_PORTS}::test_a_fenced_sink_can_send_nothing_either[memory]",
        ),
    ),
    Mutant(
        name="restore-before-fencing",
        broken="The changelog is read before the producer is started: what the former holder of the task commits in "
        "between is not in the state that goes on.",
        edits=(
            Edit("streams/opening.py", "                await sink.open()\n", ""),
            Edit(
                "streams/opening.py",
                "                position = await decide_position(\n",
                "                await sink.open()\n                position = await decide_position(\n",
            ),
        ),
        caught_by=(f"{_PROMISES}::test_a_task_is_fenced_before_its_changelog_is_read",),
    ),
    Mutant(
        name="listener-errors-swallowed",
        broken="What goes wrong in the rebalance listener is only logged, as the client does: alive, and working on nothing.",
        edits=(
            Edit(
                "streams/kafka/source.py",
                """            self._failure = (
                error if isinstance(error, PortError) else PortError(f"assignment failed: {error!r}")
            )
""",
                """            logger.warning("assignment failed: %r", error)
""",
            ),
        ),
        caught_by=(
            f"{_SOURCE}::test_a_split_task_is_never_worked_on",
            f"{_SOURCE}::test_nothing_the_listener_meets_is_swallowed",
        ),
    ),
    Mutant(
        name="split-tasks-worked-on",
        broken="An assignment that splits a task is taken as it comes: a borrower's repayments and flows are judged by two "
        "workers, each of half a picture.",
        edits=(Edit("streams/kafka/source.py", "        if partitions != whole:\n", "        if False:\n"),),
        caught_by=(f"{_SOURCE}::test_a_split_task_is_never_worked_on",),
    ),
    Mutant(
        name="assignor-splits-tasks",
        broken="The assignor deals each topic out by itself, as the stock ones do: all tasks are split.",
        edits=(
            Edit(
                "streams/kafka/assignor.py",
                "[(topic, sorted(tasks)) for topic in topics] if tasks else []",
                "[(topic, sorted((task + place) % 8 for task in tasks)) for place, topic in enumerate(topics)]",
            ),
        ),
        caught_by=(
            "tests/streams/test_assignment.py::test_the_assignor_hands_out_the_same_partitions_of_every_topic",
        ),
    ),
)

_RESTORE: Final = (
    Mutant(
        name="restore-reads-uncommitted-kafka",
        broken="Kafka's restore reads what was never committed: states of a transaction that was taken back.",
        edits=(
            Edit(
                "streams/kafka/logs.py",
                '            isolation_level="read_committed",\n            auto_offset_reset="earliest",\n',
                '            isolation_level="read_uncommitted",\n            auto_offset_reset="earliest",\n',
            ),
        ),
        caught_by=(
            f"{_PORTS}::test_only_committed_records_are_read[kafka]",
            f"{_PORTS}::test_a_restore_sees_everything_its_predecessor_committed[kafka]",
        ),
    ),
    Mutant(
        name="restore-reads-uncommitted-memory",
        broken="The memory ports' restore reads what was never committed: the same, where the simulation runs.",
        edits=(
            Edit(
                "streams/memory/ports.py",
                "    return log.read(max(position, log.start), _READ_RECORDS, committed=True)\n",
                "    return log.read(max(position, log.start), _READ_RECORDS, committed=False)\n",
            ),
        ),
        caught_by=(
            f"{_PORTS}::test_a_restore_sees_everything_its_predecessor_committed[memory]",
            f"{_CRASH}[commit-before]",
            _SIMULATED,
        ),
    ),
    Mutant(
        name="inputs-read-uncommitted",
        broken="The input topics are read as they are written: an event that its producer took back is judged.",
        edits=(
            Edit(
                "streams/kafka/source.py",
                '            isolation_level="read_committed",\n',
                '            isolation_level="read_uncommitted",\n',
            ),
        ),
        caught_by=(f"{_PROMISES_ON_KAFKA}::test_events_that_their_producer_took_back_are_never_read",),
    ),
    Mutant(
        name="restore-to-the-last-record-kafka",
        broken="Kafka's restore waits for the last record's offset to reach the end: transaction markers take offsets, so it "
        "never does, and the task never opens.",
        edits=(
            Edit(
                "streams/kafka/logs.py",
                "                    reached = await consumer.position(place)\n",
                "                    reached = records[-1].offset + 1 if records else position\n",
            ),
        ),
        caught_by=(f"{_PORTS}::test_a_log_is_read_to_its_end_over_markers_and_aborted_records[kafka]",),
    ),
    Mutant(
        name="restore-to-the-last-record-memory",
        broken="The memory ports' restore waits for the last record's offset: the same, where the simulation runs.",
        edits=(
            Edit(
                "streams/memory/ports.py",
                '            records, position = await self._asked("read", partial(_read, log, before))\n',
                """            records, _ = await self._asked("read", partial(_read, log, before))
            position = records[-1].offset + 1 if records else before
""",
            ),
        ),
        caught_by=(f"{_CRASH}[commit-after]",),
    ),
    Mutant(
        name="no-seek-kafka",
        broken="Kafka's source does not seek when a task opens: it is read from the beginning of the log again.",
        edits=(
            Edit(
                "streams/kafka/source.py",
                "            self._consumer.seek(partition, offset)\n",
                "",
            ),
        ),
        caught_by=(f"{_PORTS}::test_only_open_tasks_are_read_from_their_offset_on[kafka]",),
    ),
    Mutant(
        name="no-seek-memory",
        broken="The memory source does not seek when a task opens: the same, where the simulation runs.",
        edits=(
            Edit(
                "streams/memory/ports.py",
                "            self._positions[feed, task] = offset\n",
                "            self._positions[feed, task] = 0\n",
            ),
        ),
        caught_by=(
            f"{_PORTS}::test_only_open_tasks_are_read_from_their_offset_on[memory]",
            f"{_CRASH}[commit-after]",
            _SIMULATED,
        ),
    ),
    Mutant(
        name="group-offsets-as-position",
        broken="A task goes on where the group's offsets say, not where its state stands: they expire, and come to be visible "
        "later than the state.",
        edits=(
            Edit(
                "streams/restore.py",
                "    return Position(progress.offsets, progress.merge_keys_ms, progress.engine)\n",
                """    committed = tuple(offset or 0 for offset in await source.committed(task))
    return Position(committed, progress.merge_keys_ms, progress.engine)
""",
            ),
        ),
        caught_by=(
            f"{_PROMISES}::test_a_task_goes_on_where_its_state_stands_whatever_became_of_the_groups_offsets[True]",
        ),
    ),
    Mutant(
        name="back-to-the-processed",
        broken="A task that comes straight back is sought to what it has processed: what it had polled beyond that and still "
        "holds would be processed twice.",
        edits=(
            Edit(
                "streams/pipeline.py",
                "self._source.open(number, self.tasks[number].polled)",
                "self._source.open(number, self.tasks[number].offsets)",
            ),
        ),
        caught_by=(f"{_PROMISES}::test_a_task_that_comes_straight_back_reads_nothing_twice", _SIMULATED),
    ),
    Mutant(
        name="witnesses-not-compared",
        broken="The group's offsets are not compared with the progress record: that somebody moved them, or that two "
        "installations share a group, is not noticed.",
        edits=(
            Edit(
                "streams/restore.py",
                "    await _compare_witnesses(progress, source, names, settings, clock)\n",
                "",
            ),
        ),
        caught_by=(f"{_PIPELINE}::test_contradicting_group_offsets_are_refused_after_some_patience",),
    ),
    Mutant(
        name="lost-changelog-as-fresh-start",
        broken="A changelog that is gone is taken for a first start: years of state begin anew, and nobody is told.",
        edits=(
            Edit(
                "streams/restore.py",
                "        await _refuse_orphaned_offsets(source, task, names, settings)\n",
                "",
            ),
        ),
        caught_by=(f"{_PIPELINE}::test_offsets_without_state_are_refused",),
    ),
    Mutant(
        name="lost-events-jumped-over",
        broken="A position that retention has deleted is not refused before the gate opens: the start says nothing of what "
        "to do.",
        edits=(
            Edit(
                "streams/restore.py",
                "    _refuse_lost_positions(progress.offsets, starts, task, names)\n",
                "",
            ),
        ),
        caught_by=(f"{_PIPELINE}::test_a_position_before_the_logs_start_is_refused",),
    ),
    Mutant(
        name="silent-jump-to-the-logs-start",
        broken="Kafka's client jumps to where the log begins when a position is gone: the events between are lost silently.",
        edits=(
            Edit(
                "streams/kafka/source.py",
                'auto_offset_reset="none"',
                'auto_offset_reset="earliest"',
            ),
        ),
        caught_by=(f"{_PORTS}::test_a_position_that_retention_deleted_is_an_error[kafka]",),
        seconds_max=90.0,
    ),
    Mutant(
        name="another-partition-count",
        broken="State of another number of partitions is read as if nothing had changed: borrowers are on other tasks than "
        "their state.",
        edits=(
            Edit(
                "streams/restore.py",
                "    if progress.partition_count != partition_count:\n",
                "    if False:\n",
            ),
        ),
        caught_by=(f"{_PIPELINE}::test_another_partition_count_is_refused",),
    ),
    Mutant(
        name="checksum-not-checked",
        broken="A damaged record of state or progress is decoded as it is: wrong amounts, or a wrong position.",
        edits=(
            Edit(
                "models/sealed.py",
                "        fits = checksum == _checksum(version, content)\n",
                "        fits = True\n",
            ),
        ),
        caught_by=(
            f"{_ENGINE}::test_a_flipped_bit_is_found",
            "tests/streams/test_progress.py::test_any_changed_byte_is_noticed",
        ),
    ),
)

_ORDER_AND_TIME: Final = (
    Mutant(
        name="merge-does-not-wait",
        broken="Records are let go up to the farthest topic instead of the nearest: the order depends on the arrival, and a "
        "replay tells other alerts than the first time.",
        edits=(
            Edit(
                "streams/ordering.py",
                "        strict = min(floor * self._topics + topic for topic, floor in enumerate(self._floors_ms))\n",
                "        strict = max(floor * self._topics + topic for topic, floor in enumerate(self._floors_ms))\n",
            ),
        ),
        caught_by=(
            "tests/streams/test_ordering.py::test_a_tie_waits_for_the_earlier_topic",
            f"{_PIPELINE}::test_records_wait_for_every_topic_by_event_time",
        ),
    ),
    Mutant(
        name="merge-keys-forgotten",
        broken="A restart forgets up to where the order had come: a late event after it is taken in another place.",
        edits=(
            Edit(
                "streams/restore.py",
                "    return Position(progress.offsets, progress.merge_keys_ms, progress.engine)\n",
                "    return Position(progress.offsets, (0,) * len(TOPICS), progress.engine)\n",
            ),
        ),
        caught_by=(f"{_PIPELINE}::test_crash_after_crash_changes_nothing[0]",),
    ),
    Mutant(
        name="feed-silence-ignored",
        broken="A feed that is silent as a whole is trusted: an outage becomes thousands of missed payments.",
        edits=(
            Edit(
                "streams/feeds.py",
                "        return not self.is_silent(feed, now_ms) and now_ms >= self._trusted_from_ms[feed]\n",
                "        return True\n",
            ),
        ),
        caught_by=(
            f"{_FEEDS}::test_at_the_start_nothing_is_trusted",
            f"{_FEEDS}::test_silence_ends_the_trust_and_the_return_has_its_grace",
            f"{_PIPELINE}::test_live_an_idle_partition_follows_the_wall_clock_while_its_feed_lives",
        ),
    ),
    Mutant(
        name="deadlines-of-any-feed",
        broken="A deadline is judged by whichever feed is ahead: flows that run ahead make payments look missed.",
        edits=(
            Edit(
                "models/engine.py",
                "            targets[HIGHEST] = highest_ms\n",
                "            targets = dict.fromkeys(range(HIGHEST + 1), highest_ms)\n",
            ),
        ),
        caught_by=(f"{_ENGINE}::test_a_deadline_waits_for_its_own_feed",),
    ),
    Mutant(
        name="midnight-forgotten",
        broken="A restart amid a midnight forgets the watermark that the task was on the way to: what comes first is judged as of the one before.",
        edits=(
            Edit(
                "models/engine.py",
                "        self._passing = progress.passing\n",
                "        self._passing = None\n",
            ),
        ),
        caught_by=(f"{_FEW_PICTURES}::test_an_engine_goes_on_amid_deadlines_where_another_stopped",),
    ),
    Mutant(
        name="midnight-in-one-transaction",
        broken="Deadlines do not wait for a full transaction: a midnight of a million borrowers cannot be sent in time.",
        edits=(
            Edit(
                "streams/pipeline.py",
                "        return (task.engine.is_passing or task.queue.ready > 0) and not self._commits.is_full(task)\n",
                "        return task.engine.is_passing or (task.queue.ready > 0 and not self._commits.is_full(task))\n",
            ),
        ),
        caught_by=(f"{_PIPELINE}::test_a_midnight_is_committed_in_parts",),
    ),
    Mutant(
        name="watermark-goes-back",
        broken="A late event pulls its feed's watermark back: deadlines are judged twice.",
        edits=(
            Edit(
                "models/engine.py",
                "            if target_ms > self._watermarks_ms[feed]\n",
                "            if target_ms != self._watermarks_ms[feed]\n",
            ),
        ),
        caught_by=(f"{_ENGINE}::test_a_watermark_never_goes_back",),
    ),
    Mutant(
        name="late-events-do-not-retract",
        broken="An alert that a late event disproves stays: a borrower who had paid in time is called.",
        edits=(
            Edit(
                "models/engine.py",
                "            self._lifecycle.retract_disproved(borrower_id, borrower, signal, subject, since_ms, occasion)\n",
                "            pass\n",
            ),
        ),
        caught_by=(
            f"{_ENGINE}::test_a_payment_made_in_time_but_learnt_late_retracts",
            f"{_ENGINE}::test_an_alert_that_is_over_is_retracted_too",
        ),
    ),
    Mutant(
        name="duplicates-not-recognised",
        broken="An event sent twice counts twice: one payment pays two instalments.",
        edits=(
            Edit(
                "models/engine.py",
                "            if acquaintance is Acquaintance.DUPLICATE:\n",
                "            if False:\n",
            ),
        ),
        caught_by=(f"{_ENGINE}::test_a_duplicate_is_counted_and_changes_nothing",),
    ),
    Mutant(
        name="stray-borrowers-taken",
        broken="A record on the wrong partition is taken: a borrower has two half pictures.",
        edits=(
            Edit(
                "models/engine.py",
                """        if known is None and not self._belongs(borrower_id):
            return "wrong-partition"
""",
                "",
            ),
        ),
        caught_by=(f"{_ENGINE}::test_a_stray_borrower_is_refused_at_first_touch",),
    ),
    Mutant(
        name="future-dates-taken",
        broken="An event from the far future moves the watermark: every deadline until then is judged at once.",
        edits=(
            Edit(
                "streams/codec.py",
                "            if event.event_time_ms > known_by_ms + FUTURE_TOLERANCE_MS:\n",
                "            if False:\n",
            ),
        ),
        caught_by=(
            "tests/streams/test_event_files.py::test_future_dates_are_refused_by_the_time_of_the_run",
        ),
    ),
)

_STANDSTILL: Final = (
    Mutant(
        name="watchdog-never-barks",
        broken="Nobody notices that a worker stands still although there is work: alive, idle, and never restarted.",
        edits=(
            Edit(
                "streams/watchdog.py",
                "            if lasted_ms >= at_least_ms\n",
                "            if lasted_ms < 0\n",
            ),
        ),
        caught_by=(
            "tests/streams/test_stuck_workers.py::test_a_consumer_that_brings_nothing_ends_the_worker",
        ),
        seconds_max=30.0,
    ),
)

MUTANTS: Final = (*_TRANSACTION, *_FENCING, *_RESTORE, *_ORDER_AND_TIME, *_STANDSTILL)
