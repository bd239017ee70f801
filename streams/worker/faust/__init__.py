"""Everything that depends on Faust's internals, so that an upgrade of Faust has one place to look at.

Faust (0.15.3) and aiokafka are used as they are, except for these points. "Private" names members of Faust or aiokafka
that are not public; "test" names the test that fails without the change.

consumer.py
    Messages flow only after the seek to the committed offsets. Faust resumes the flow first, and messages that arrive
    in between count as read and are never processed (faust-streaming/faust#216, #221).
    Private: `_wait_next_records`, `_read_offset`, `_is_changelog_tp`. Test: `faust/test_consumer.py`.
    A partition without a committed offset is sought to its beginning; Faust does not seek it. So is one of a recreated
    topic, whose committed offset is that of the former topic.
    Private: `_read_offset`, `_committed_offset`. Test: `integration/test_recovery.py`, `integration/test_readiness.py`.
    A seek waits for the fetch in progress. A fetch from before a rebalance otherwise takes the changelog records of the
    recovery, which then waits for ever. Private: `_wait_next_records`. Test: `faust/test_consumer.py`.
    A message is handed to its agent without four tasks (robinhood/faust#563). Test: `faust/test_consumer.py`.
    A fetch lasts 200 ms at most, not 1.5 s. Private: aiokafka's `_fetch_max_wait_ms`. Test: `faust/test_monitor.py`.
    The client pauses before it repeats an empty fetch; see `streams/kafka/clients.py`. Private: aiokafka's
    `_fetcher._proc_fetch_request`.
    Test: `tests/streams/kafka/test_clients.py`.
    The worker can join its group again, with new metadata. Private: aiokafka's `_coordinator.request_rejoin`,
    `_coordinator.generation`, `_client`. Test: `integration/test_frozen_worker.py`, `integration/test_readiness.py`.
    Messages of aborted and open transactions are not read; Faust reads them unless it writes in transactions itself.
    Private: aiokafka's `_isolation_level`. Test: `integration/test_transactions.py`.
    A stop does not wait for ever for a client that is joining its group (robinhood/faust#484).
    Test: `faust/test_consumer.py`, `integration/test_shutdown.py`.
client.py
    A fetch with messages is followed by a pause, and aiokafka's fetcher is woken once more after it; otherwise it may
    sleep while messages wait. Private: aiokafka's `_fetcher._proc_fetch_request`, `_notify`, `_wait_consume_future`,
    `_fetch_waiters`. Test: `faust/test_consumer.py`.
    Accepted heartbeats and completed joins renew the lease. Private: aiokafka's `_coordinator._do_heartbeat`,
    `_on_join_complete`. Test: `integration/test_frozen_worker.py`.
    Answers of the brokers are noted for readiness. Private: aiokafka's `_client.send`.
    Test: `integration/test_readiness.py`.
recovery.py
    Partitions are taken over before the ends of their changelogs are asked for. Private: `_build_highwaters`.
    Test: `integration/test_frozen_worker.py`.
    Tables that miss many records are restored in bulk. Private: `_build_offsets`, `active_offsets`,
    `_active_events_received_at`, `_last_flush_at`. Test: `faust/test_recovery.py`, `integration/test_bulk_restore.py`.
    A store beyond the end of its changelog is restored from the beginning; Faust's recovery hangs
    (faust-streaming/faust#158). So is a new store in place of a damaged one.
    Private: `_build_highwaters`, `active_offsets`. Test: `integration/test_recovery.py`, `faust/test_recovery.py`.
    No step of a recovery has Faust's limit of 90 s. Private: `_wait`. Test: `faust/test_recovery.py`.
app.py
    Partitions are given up, and the worker stops, only after a drain of the messages in flight. If they are lost
    already, the messages are dropped.
    Private: `_consumer_wait_empty`, `_on_partitions_revoked`. Test: `integration/test_shutdown.py`,
    `integration/test_frozen_worker.py`.
    Partitions that a topic got later are not assigned; Faust would divide the topics' partitions differently.
    Private: `PartitionAssignor._perform_assignment`. Test: `integration/test_readiness.py`.
    The log names the signal that stops the worker, and the process ends in bounded time: without brokers Faust's stop
    waits for ever. Private: `_schedule_shutdown`, `_crash`. Test: `integration/test_shutdown.py`.
    Agents read with `noack`: Faust acknowledges an event whose agent raises (faust-streaming/faust#189, #315).
    Test: `integration/test_faults.py`.
monitor.py
    Faust's monitor observes commits and rebalances only. Therefore `verify_event_path` of the consumer checks nothing:
    Faust would log "Stream has not started processing" for every partition. Test: `faust/test_monitor.py`.
"""
