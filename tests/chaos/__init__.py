"""Chaos runs: a real Kafka and real workers under a random, seeded schedule of faults, and a checker of what must hold.

`python -m tests.chaos` runs it. The modules in the order of a run:

    schedule.py     kinds of faults, and the schedule that a seed draws from them
    shop.py         catalogue and shoppers: the steady load
    messages.py     faults that are messages
    hostile.py      messages that no producer should send, and records that no version writes
    damage.py       damage of RocksDB's files
    supervisor.py   workers as processes, restarted when they exit
    faults.py       carries the faults out
    observe.py      live counts, and the condition in which a run has settled
    run.py          one run, from the start of the broker to the verdict
    report.py       table, verdict, and the figures of docs/reliability.md

The checker imports nothing of the engine. It reads the topics' bytes, the logs and the exits:

    records.py      committed records of the topics
    contract.py     valid events and items, by docs/contracts.md
    model.py        what a shopper's profile and an item's co-occurrence must hold
    stored.py       decoders of the stored bytes, by their documented layouts
    evidence.py     what a run leaves, decoded once
    checker.py      the rules of lists, dead letters, logs and exits
    state_rules.py  the rules of profiles, co-occurrence, the catalogue and the restore
    waits.py        how long events waited, and how long faults lasted for shoppers
"""
