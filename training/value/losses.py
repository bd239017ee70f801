"""The section on single assets: what the lists lose without each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import dataclass
from math import inf
from typing import Literal

import numpy as np
import numpy.typing as npt
from rich.console import RenderableType

from streams.value.estimates import Estimate
from streams.value.report import BUNDLE, FROZEN, RETRAINED, Assets, AssetValue
from training.bootstrap import resampled_means
from training.evaluation.estimates import estimate
from training.evaluation.figures import metric_title, percent
from training.value import views
from training.value.assets import KINDS, Asset, assets_of, described
from training.value.lists import ablated_features
from training.value.planning import MARGIN, SHARE, plan_assets
from training.value.runner import Result
from training.value.sections import RunContext
from training.value.study import FITTED, METRICS, Floats, Job, Part, Scope, Study, ranking
from training.value.variants import DAY_MS

RECENT_DAYS, FEWEST_RECENT = 7, 100
"""Periods of history are compared on the lists of the first RECENT_DAYS of the test, if there are FEWEST_RECENT."""


@dataclass(frozen=True, slots=True)
class AssetSection:
    """The section."""

    found: Assets

    def to_json(self) -> object:
        """Return the values."""
        return self.found

    def sentence(self) -> str:
        """Name the most valuable asset, and count those without a measurable value."""
        metric = self.found.metric
        types = sum(each.kind == "type" and bool(each.loss) for each in self.found.values)
        # Without the only type of events there is no log, which says nothing about the asset.
        left_out = {"group"} if types > 1 else {"group", "type"}
        measured = [each for each in self.found.values if each.loss and each.kind not in left_out]
        if not measured:
            return "No asset could be measured."
        best = max(measured, key=lambda each: each.loss[metric].value)
        loss = best.loss[metric]
        title = metric_title(metric, self.found.k)
        helping = sum(each.loss[metric].low > 0 for each in measured)
        harming = sum(each.loss[metric].high < 0 for each in measured)
        relative = f" ({percent(best.relative)})" if best.relative is not None else ""
        sign = "loses" if loss.low > 0 else "seems to lose"
        return (
            f"Without its most valuable asset, {best.title} ({best.kind}), the shop {sign} {loss.value:.4f} "
            f"{title}{relative}. Of {len(measured)} assets, helpful: {helping}, harmful: {harming}, "
            f"without a difference that these lists show: {len(measured) - helping - harming}."
        )

    def tables(self) -> Sequence[RenderableType]:
        """Return a table for each kind."""
        return views.asset_tables(self.found)

    def html(self) -> str:
        """Return a plot and a table for each kind."""
        return views.asset_html(self.found)


def asset_values(context: RunContext) -> AssetSection | None:
    """Replay the shop without each asset of the chosen kinds. Return None if the shop has no such asset."""
    study = context.study
    kinds = [kind for kind in KINDS if kind in context.chosen]
    whole = context.full_scope
    assets = assets_of(study, study.part(whole), kinds)
    if not assets:
        return None
    # Several assets can have one replay: the only type of events and the only producer leave the same shop.
    wanted = {study.job(whole, each.variant).key for each in assets if _is_replayed(each)}
    ablations = _ablations(study) if {"sources", "features"} & {*kinds} else 0
    share = SHARE if "overlap" in context.chosen else 1.0
    # The user's own number of events is not reduced.
    limit_s = inf if context.limits.events is not None else MARGIN * share * context.remaining_s()
    plan = plan_assets(context.costs, whole, len(wanted) + 1, ablations, limit_s, context.runner.jobs)
    scope = plan.scope
    if scope != whole:
        assets = assets_of(study, study.part(scope), kinds)
    part = study.part(scope)
    context.note(
        f"Single assets: {len(wanted) + 1} replays of the newest {scope.events:,} of {len(study.interactions):,} "
        f"events, {len(part.cases):,} of {part.found:,} lists, about {max(plan.seconds / 60, 0.1):.1f} minutes"
    )
    results = replayed(context, scope, assets, is_ablated=ablations > 0)
    first, k = study.options.primary, study.options.k
    draws = resampled_means(ranking(results[""]), part.cases.user, study.options.seed)
    means = ranking(results[""]).mean(axis=0)
    whole_shop = {name: estimate(float(means[n]), draws[:, n]) for n, name in enumerate(METRICS)}
    values = values_of(study, part, assets, results)
    return AssetSection(
        Assets(events=scope.events, cases=len(part.cases), metric=first, k=k, whole=whole_shop, values=values)
    )


def replayed(context: RunContext, scope: Scope, assets: Sequence[Asset], *, is_ablated: bool) -> Mapping[str, Result]:
    """Run the replays of assets, and return the results by the key of the variant; the whole shop's by an empty one."""
    study, runner = context.study, context.runner
    jobs: dict[str, Job] = {"": study.baseline_job(scope, ablated=is_ablated)}
    jobs |= {each.variant.key: study.job(scope, each.variant) for each in assets if _is_replayed(each)}
    advance = context.start_phase("Replays without assets", len(jobs))
    futures: dict[Future[Result], str] = {runner.submit(job): key for key, job in jobs.items()}
    for future in as_completed(futures):
        future.result()  # raises the error of a replay at once
        advance(1)
    return {key: runner.submit(job).result() for key, job in jobs.items()}


def values_of(study: Study, part: Part, assets: Sequence[Asset], results: Mapping[str, Result]) -> list[AssetValue]:
    """Return the value of each asset, in the order given."""
    is_recent = part.log.at_ms[part.cases.at] < part.log.at_ms[part.start] + RECENT_DAYS * DAY_MS
    recent = np.flatnonzero(is_recent)
    every = np.arange(len(part.cases))
    if len(recent) < FEWEST_RECENT:
        recent = every
    found: dict[int, AssetValue] = {}
    # Old history matters less from day to day of the test, because newer events replace it. So periods are compared on
    # its first days.
    for is_history, cases in ((False, every), (True, recent)):
        own = [
            n for n, each in enumerate(assets) if (each.kind == "history") == is_history and each.state == "measured"
        ]
        lists = [_without(assets[n], results) for n in own]
        found |= dict(zip(own, _measured(study, part, cases, [assets[n] for n in own], lists, results), strict=True))
    return [found[n] if n in found else _unmeasured(each) for n, each in enumerate(assets)]


def _is_replayed(asset: Asset) -> bool:
    return asset.state == "measured" and not asset.ranking


def _ablations(study: Study) -> int:
    return len(study.settings.retrieval.sources) + len(ablated_features())


def _without(asset: Asset, results: Mapping[str, Result]) -> Floats:
    return ranking(results[""], asset.ranking) if asset.ranking else ranking(results[asset.variant.key])


def _model(study: Study, asset: Asset, results: Mapping[str, Result]) -> Literal["frozen", "retrained", "bundle"]:
    if not study.options.retrained or asset.ranking:
        return FROZEN
    return RETRAINED if results[asset.variant.key][FITTED].all() else BUNDLE


def _unmeasured(asset: Asset) -> AssetValue:
    return AssetValue(**described(asset))  # type: ignore[arg-type]


def _measured(
    study: Study, part: Part, cases: npt.NDArray[np.int64], assets: Sequence[Asset], lists: Sequence[Floats],
    results: Mapping[str, Result],
) -> list[AssetValue]:  # fmt: skip
    """Return the values of assets over some of the cases, all with the same resamples of the shoppers."""
    if not assets:
        return []
    stacked = np.stack([ranking(results[""]), *lists], axis=1)[cases]  # (cases, 1 + assets, METRICS)
    draws = resampled_means(stacked.reshape(len(cases), -1), part.cases.user[cases], study.options.seed)
    draws, means = draws.reshape(-1, *stacked.shape[1:]), stacked.mean(axis=0)
    first = METRICS.index(study.options.primary)
    found = []
    for number, asset in enumerate(assets, start=1):
        relative = None
        if means[0, first] > 0 and (draws[:, 0, first] > 0).all():
            relative = estimate(
                float(1 - means[number, first] / means[0, first]), 1 - draws[:, number, first] / draws[:, 0, first]
            )
        losses: dict[str, Estimate] = {
            metric: estimate(
                float(means[0, column] - means[number, column]), draws[:, 0, column] - draws[:, number, column]
            )
            for column, metric in enumerate(METRICS)
        }
        found.append(
            AssetValue(
                **described(asset),  # type: ignore[arg-type]
                model=_model(study, asset, results),
                cases=len(cases),
                whole=estimate(float(means[0, first]), draws[:, 0, first]),
                without=estimate(float(means[number, first]), draws[:, number, first]),
                loss=losses,
                relative=relative,
            )
        )
    return found
