"""A complete evaluation: the log, its cases, the baselines, the system, and the report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from streams.contracts.messages import Interaction
from streams.errors import ConfigurationError
from streams.evaluation import baseline_pass
from streams.evaluation.baseline_pass import Ranking
from streams.evaluation.cases import Cases, cases, sampled
from streams.evaluation.facts import data_of, model_of, options_of, settings_of
from streams.evaluation.judged import graded_targets, rank_graded
from streams.evaluation.judgements import Judgements
from streams.evaluation.line_up import line_up
from streams.evaluation.log import Log, first_tested, read_log
from streams.evaluation.measures import measure, rows, slices, versus, worths
from streams.evaluation.plan import Options, System, Tell
from streams.evaluation.report import Data, Report
from streams.evaluation.system_pass import OURS, Stopwatch, SystemPass, SystemResult
from streams.examples import Sampling, examples
from streams.parts import profile_rules
from streams.replay import Replay

LISTS, AFTER, NEGATIVES = 8000, 0.3, 60
"""A ranker is fitted to about LISTS lists, after the share AFTER of the learning period. NEGATIVES candidates of a list
are kept beside those acted on."""


def evaluate(system: System, interactions: Sequence[Interaction], options: Options, tell: Tell) -> Report:
    """Test, then learn, over a log.

    Raises:
        ConfigurationError: there is nothing to test, or no item that shoppers act on is in the catalogue.
    """
    log = read_log(interactions, system.items, profile_rules(system.settings).session_gap_ms)
    if log.unknown_share == 1.0:
        raise ConfigurationError("catalogue: required items that shoppers act on, got none of them")
    start, acts, k = first_tested(log, options.test_share, options.test_from), log.acts(), max(options.ks)
    found = cases(log, acts, options.protocol, start)
    chosen = sampled(found, options.sample, options.seed)
    step = tell("Baselines", int(chosen.at[-1]) + 1)
    baselines = baseline_pass.run(line_up(system, log, options.protocol), log, acts, chosen, k, step)
    result = _ours(system, log, chosen, options, start, tell)
    tell("Intervals", 0)
    counts = np.bincount(log.item[:start][log.item[:start] >= 0], minlength=len(log.item_ids))[: log.catalogue]
    data = data_of(log, len(found), chosen, start)
    return _report(system, options, data, chosen, baselines, result, counts)


def evaluate_judgements(system: System, judgements: Judgements, options: Options, tell: Tell) -> Report:
    """Evaluate the order of each query's graded items."""
    step = tell("Ranking graded searches", len(judgements.queries))
    rankings = rank_graded(system.bundle, system.items, judgements, max(options.ks), step)
    queries = np.arange(len(judgements.queries))
    measured = measure(rankings, graded_targets(judgements), queries, options.ks, options.seed)
    names = [each.name for each in rankings[1:]]
    data = Data(
        items=len(system.items),
        searches=len(queries),
        cases=len(queries),
        cases_found=len(queries) + judgements.single,
        unknown_share=judgements.missing,
    )
    return Report(
        protocol=options.protocol,
        measured_at=options.measured_at.isoformat(),
        data=data,
        model=model_of(system),
        options=options_of(options),
        settings=settings_of(system.settings),
        primary=options.primary,
        rows=list(rows(measured, {"ours": rankings[:1], "baseline": rankings[1:]}, options.ks, 0, None)),
        best_baseline=measured.best(names, *options.primary[0]),
        versus=list(versus(measured, OURS, names, options.primary)),
        slices=[],
        worth=[],
        stages_us={},
    )


def _ours(system: System, log: Log, chosen: Cases, options: Options, start: int, tell: Tell) -> SystemResult:
    watch = Stopwatch()
    replay = Replay(system.settings, system.bundle, system.records)
    learned = 0
    if system.fit is not None:
        gap_ms = profile_rules(system.settings).session_gap_ms
        share = min(1.0, LISTS / max((1 - AFTER) * start, 1))
        sampling = Sampling(options.seed, AFTER, share, share, NEGATIVES, session_gap_ms=gap_ms)
        step = tell("Learning", start)
        gathered = list(examples(replay, log.interactions[:start], sampling, step))
        replay.recommender.set_scorer(system.fit(gathered))
        learned = start
    size = min(options.ablation, len(chosen))
    sample = np.sort(np.random.default_rng(options.seed).choice(len(chosen), size, replace=False))
    step = tell("Intentstream", int(chosen.at[-1]) + 1 - learned)
    return SystemPass(replay, log, chosen, max(options.ks), sample, watch).run(step, learned=learned)


def _report(
    system: System, options: Options, data: Data, chosen: Cases, baselines: list[Ranking], result: SystemResult,
    counts: npt.NDArray[np.int64],
) -> Report:  # fmt: skip
    ks, (first, second), seed = options.ks, options.primary, options.seed
    sources = [each.named(f"{name} alone") for name, each in result.alone.items()]
    grouped = {"ours": result.ours, "baseline": baselines, "source": sources}
    compared = [*result.ours, *baselines, *sources]
    measured = measure(compared, chosen.targets, chosen.user, ks, seed)
    names = [each.name for each in baselines]
    return Report(
        protocol=options.protocol,
        measured_at=options.measured_at.isoformat(),
        data=data,
        model=model_of(system),
        options=options_of(options),
        settings=settings_of(system.settings),
        primary=options.primary,
        rows=list(rows(measured, grouped, ks, data.items, counts)),
        best_baseline=measured.best(names, *first),
        versus=list(versus(measured, OURS, names, (first, second))),
        slices=list(slices(compared, chosen, first[1], seed)),
        worth=list(worths(result, chosen, *first, seed)),
        stages_us=result.stages,
    )
