"""A complete evaluation: the log, its cases, the baselines, the system, and the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from streams.contracts.messages import Interaction
from streams.errors import ConfigurationError
from streams.factory import profile_rules
from streams.replay import Replay, reporting
from streams.settings import Settings
from training.evaluation.baseline_pass import Ranking
from training.evaluation.baseline_process import BaselinePass, beside
from training.evaluation.calibration import calibration, moments
from training.evaluation.cases import Cases, cases, sampled
from training.evaluation.estimates import measure, rows, slices, verdict, versus, worths
from training.evaluation.exposure import Groups, concentrations, exposures, fairnesses
from training.evaluation.judgements import Judgements, graded_targets, hashes_of, rank_graded
from training.evaluation.per_case import hash_of_cases, hash_of_judgements, per_case
from training.evaluation.plan import Options, System, baseline_inputs
from training.evaluation.report import Data, Model, Report
from training.evaluation.system_pass import OURS, SystemPass, SystemResult
from training.log import SEARCH, Log, first_tested, read_log
from training.phases import StartPhase
from training.ranker.gather import WARM_UP, Sampling, example_lists, first_ranked
from training.ranker.provenance import Hashes, event_hashes, known_share

LISTS, AFTER, NEGATIVES = 8000, 0.3, 60
"""A ranker is fitted to about LISTS lists, after the share AFTER of the learning period. NEGATIVES candidates of a list
are kept beside those acted on. For baskets, about as many lists are those of arrivals, which few actions are."""
LIST_SETTINGS = (
    "behaviour", "candidates", "diversity", "exact_search", "execution_providers", "fairness", "half_life", "habit",
    "lasting", "list_size", "min_shoppers", "pairs", "session", "sources", "trending_interval", "weight",
)  # fmt: skip
"""Parts of the names of settings that change lists."""
Plain = str | int | float | bool | None


def evaluate(system: System, interactions: Sequence[Interaction], options: Options, start_phase: StartPhase) -> Report:
    """Evaluate the system and the baselines on a log: test, then train, list by list.

    Raises:
        ConfigurationError: there is nothing to test, or no item that shoppers act on is in the catalogue.
    """
    log = read_log(interactions, system.items, profile_rules(system.settings).session_gap_ms)
    if log.unknown_share == 1.0:
        raise ConfigurationError("catalogue: required items that shoppers act on, got none of them")
    start, acts = first_tested(log, options.test_share, options.test_from), log.acts()
    found = cases(log, acts, options.protocol, start)
    chosen = sampled(found, options.sample, options.seed)
    del acts
    baselines, result = _run_both(system, log, chosen, options, start, start_phase)
    start_phase("Intervals", 0)
    counts = np.bincount(log.item[:start][log.item[:start] >= 0], minlength=len(log.item_ids))[: log.catalogue]
    ks, (first, _), seed = options.ks, options.primary, options.seed
    sources = [each.named(f"{name} alone") for name, each in result.alone.items()]
    compared = [*result.ours, *baselines, *sources]
    measured = measure(compared, chosen.targets, chosen.user, ks, seed)
    best = measured.best([each.name for each in baselines], options.primary)
    names = [each.name for each in baselines]
    groups, shown = Groups(log, system.items, start), [*result.ours, *baselines]
    return Report(
        protocol=options.protocol,
        measured_at=options.measured_at.isoformat(),
        data=_data_of(log, len(found), chosen, start),
        model=_model_of(system, event_hashes(log.interactions[start:])),
        options=_options_of(options),
        settings=settings_of(system.settings),
        primary=options.primary,
        rows=list(
            rows(measured, {"ours": result.ours, "baseline": baselines, "source": sources}, ks, log.catalogue, counts)
        ),
        best_baseline=best,
        versus=list(versus(measured, OURS, names, options.primary)),
        slices=list(slices(compared, chosen, first[1], seed)),
        worth=list(worths(result, chosen, *first, seed)),
        stages_us=result.stages,
        exposure=list(exposures(groups, shown, chosen)),
        concentration=concentrations(groups, shown),
        fairness=list(fairnesses(groups, result.fair, chosen.take(result.sample), options.primary, seed)),
        verdict=verdict(measured, OURS, best, *first),
        calibration=calibration(result.outcomes, seed),
        per_case=per_case(
            result.ours[0], chosen.targets, chosen.user, options.primary, hash_of_cases(log, chosen, options.protocol)
        ),
    )


def evaluate_judgements(system: System, judgements: Judgements, options: Options, start_phase: StartPhase) -> Report:
    """Evaluate the order of each query's graded items."""
    advance = start_phase("Ranking graded searches", len(judgements.queries))
    rankings = rank_graded(system.bundle, system.items, judgements, max(options.ks), advance)
    queries = np.arange(len(judgements.queries))
    targets = graded_targets(judgements)
    measured = measure(rankings, targets, queries, options.ks, options.seed)
    names = [each.name for each in rankings[1:]]
    best = measured.best(names, options.primary)
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
        model=_model_of(system, hashes_of(judgements, system.items)),
        options=_options_of(options),
        settings=settings_of(system.settings),
        primary=options.primary,
        rows=list(rows(measured, {"ours": rankings[:1], "baseline": rankings[1:]}, options.ks, 0, None)),
        best_baseline=best,
        versus=list(versus(measured, OURS, names, options.primary)),
        slices=[],
        worth=[],
        stages_us={},
        verdict=verdict(measured, OURS, best, *options.primary[0]),
        per_case=per_case(
            rankings[0],
            targets,
            queries,
            options.primary,
            hash_of_judgements(judgements, [item.item_id for item in system.items], targets),
        ),
    )


def _run_both(
    system: System, log: Log, chosen: Cases, options: Options, start: int, start_phase: StartPhase
) -> tuple[list[Ranking], SystemResult]:
    """Run the baselines and the system, side by side if there may be two processes and the log is large."""
    inputs = baseline_inputs(system, log, options, chosen.at.tolist())
    baselines = BaselinePass(inputs, log, chosen, max(options.ks))
    # torch uses all cores by itself.
    if options.jobs == 1 or options.sasrec or baselines.is_small:
        first, end = int(chosen.at[0]), int(chosen.at[-1]) + 1
        found = baselines.run(_in_two_phases(start_phase, "Baselines", first, end))
        return found, _run_system(system, log, chosen, options, start, start_phase)
    with beside(baselines) as lists:
        result = _run_system(system, log, chosen, options, start, start_phase)
        return lists(start_phase), result


def _run_system(
    system: System, log: Log, chosen: Cases, options: Options, start: int, start_phase: StartPhase
) -> SystemResult:
    replay = Replay(system.settings, system.bundle, system.records, placement=options.placement)
    learned = 0
    if system.fit is not None:
        gap_ms = profile_rules(system.settings).session_gap_ms
        # Examples are drawn after the share AFTER of the learning period, so `(1 - AFTER) * start` interactions are
        # left for about LISTS lists.
        share = min(1.0, LISTS / max((1 - AFTER) * start, 1))
        sessions = len(np.unique(log.session[:start]))
        arrivals = min(1.0, LISTS / max((1 - AFTER) * sessions, 1)) if options.protocol == "next-basket" else share
        sampling = Sampling(options.seed, AFTER, share, arrivals, NEGATIVES, session_gap_ms=gap_ms)
        known = log.interactions[:start]
        first = first_ranked(known, sampling)
        replay.learn(reporting(known[:first], start_phase("Learning", first)))
        advance = start_phase("Gathering examples", start - first)
        gathered = list(example_lists(replay, known, sampling, advance, learned=first))
        replay.recommender.set_scorer(system.fit(gathered))
        learned = start
    size = min(options.ablation, len(chosen))
    sample = np.sort(np.random.default_rng(options.seed).choice(len(chosen), size, replace=False))
    end = int(chosen.at[-1]) + 1
    gap_ms = profile_rules(system.settings).session_gap_ms
    # The weights of a placement make other numbers of probabilities.
    is_calibrated = not replay.placement.weights
    observed = moments(log, options.protocol, (start, end), gap_ms, options.seed) if is_calibrated else {}
    first = min([int(chosen.at[0]), *observed]) - WARM_UP
    advance = _in_two_phases(start_phase, "Intentstream", max(first - learned, 0), end - learned)
    return SystemPass(replay, log, chosen, max(options.ks), sample, observed).run(advance, learned=learned)


def _in_two_phases(start_phase: StartPhase, name: str, first: int, end: int) -> Callable[[int], None]:
    """Return the progress of a pass of `end` steps. Steps before `first` only learn, so they are their own phase."""
    advance, done = start_phase(f"{name}: learning", first), 0

    def step(number: int) -> None:
        nonlocal advance, done
        # One step may cross the border: its first part belongs to the first phase, the rest to the second.
        before, done = done, done + number
        if before < first:
            advance(min(number, first - before))
        if before <= first < done:
            advance = start_phase(name, end - first)
        if done > first:
            advance(done - max(before, first))

    return step


def _data_of(log: Log, found: int, chosen: Cases, start: int) -> Data:
    """Describe the log. It has `found` cases, and `chosen` are those that were evaluated."""
    return Data(
        items=log.catalogue,
        events=len(log),
        searches=int((log.item == SEARCH).sum()),
        shoppers=len(np.unique(log.user)),
        sessions=len(np.unique(log.session)),
        since=log.interactions[0].occurred_at.isoformat(),
        tested_since=log.interactions[start].occurred_at.isoformat(),
        until=log.interactions[-1].occurred_at.isoformat(),
        cases=len(chosen),
        cases_found=found,
        unknown_share=log.unknown_share,
        unknown_targets=float((chosen.targets.items >= log.catalogue).mean()),
    )


def _model_of(system: System, tested: Hashes) -> Model:
    """Return the names of the bundle and its ranker, and how much of the test period the ranker was fitted to."""
    periods = system.bundle.manifest.fitted_to if system.fit is None else ()
    return Model(
        name=system.bundle.name,
        version=system.bundle.version,
        vector_space=system.bundle.vector_space,
        ranker="bundle" if system.fit is None else "fitted",
        known_share=known_share(periods, tested),
    )


def _options_of(options: Options) -> dict[str, Plain | list[int]]:
    """Return the options of the evaluation."""
    return {
        "k": list(options.ks),
        "test_share": None if options.test_from else options.test_share,
        "test_from": None if options.test_from is None else options.test_from.isoformat(),
        "sample": options.sample,
        "ablation_sample": options.ablation,
        "seed": options.seed,
        "placement": options.placement,
    }


def settings_of(settings: Settings) -> dict[str, Plain | list[str]]:
    """Return the settings that change lists, without addresses and secrets."""
    groups: dict[str, dict[str, Plain | list[str]]] = settings.model_dump(mode="json", by_alias=True)
    values = {name: value for group in groups.values() for name, value in group.items()}
    return {
        name: value
        for name, value in values.items()
        if any(part in name for part in LIST_SETTINGS) and not name.endswith("_topic")
    }
