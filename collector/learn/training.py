"""From a panel to a model that may be used: judged on what came later, fitted again on all of it, with its card and what drift is watched
against; or, while failures are few, the fixed rule and a card that says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tillwatch.collector.learn import card as cards
from tillwatch.collector.learn.drift import Drift
from tillwatch.collector.learn.episodes import Telling, Told
from tillwatch.collector.learn.fallback import RULE, Fallback, fallback
from tillwatch.collector.learn.hazard import MIN_FAILURES, Hazard, Progress, Settings, enough, fit, silent
from tillwatch.collector.learn.holdout import judge
from tillwatch.collector.learn.model_file import ModelFile, ModelFileError
from tillwatch.collector.learn.panel import Panel

HOLDOUT = 0.2
"""Of the time, the last part: a fifth leaves enough failures on both sides of a year, and holds at least a season's turn of two years."""

METHOD = (
    "Gradient boosting as a discrete-time hazard: the probability that a unit that works now fails within the horizon, calibrated on units "
    "that it was not fitted on, with the threshold that the budget of false alarms leaves on them. An alarm is an episode: it begins where a unit reaches "
    "the threshold and is one as long as the finding would stand; it is right where the unit fails within the horizon of its beginning."
)
FIXED = (
    f"A fixed rule, nothing learnt: fewer than {MIN_FAILURES} failures are on record. Probability = {RULE}. It ranks units by age and recent "
    f"events; it is replaced by a fitted model when there are {MIN_FAILURES} failures and it is trained again."
)
LIMITS = (
    "It ranks risk; it does not say that a unit will fail, nor how.",
    "It knows failures of the kinds, models and events that it was trained on; others have the probability of what they resemble.",
    "Failures that were prevented by a replacement count as none: where its alarms are acted on, its later figures look worse than it is.",
    "A factor is what one subject adds by itself to this prediction, not a cause.",
)


@dataclass(frozen=True, slots=True)
class Trained:
    """model; card: plain values; drift: counts nothing yet since the training."""

    model: Hazard | Fallback
    card: dict[str, Any]
    drift: Drift | None
    names: tuple[str, ...]

    def file(self) -> ModelFile:
        parts = self.model.parts() | {"drift": None if self.drift is None else self.drift.parts()}
        kind = "hazard" if isinstance(self.model, Hazard) else "fallback"
        return ModelFile(kind, self.names, self.card, parts)

    @classmethod
    def of(cls, file: ModelFile) -> Trained:
        """ModelFileError where the file is of another kind of model, or lacks something."""
        kinds: Mapping[str, type[Hazard | Fallback]] = {"hazard": Hazard, "fallback": Fallback}
        if file.kind not in kinds:
            raise ModelFileError(f"a model of failures is wanted, this is one of {file.kind}: name the file of `train`")
        try:
            drift = file.parts["drift"]
            model = kinds[file.kind].from_parts(file.parts)
            return cls(model, dict(file.card), None if drift is None else Drift.from_parts(drift), file.features)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError(f"the model lacks {error}: train it again") from error


def train(
    panel: Panel,
    telling: Telling,
    settings: Settings = Settings(),  # noqa: B008  # frozen
    *,
    terminals: int | None = None,
    holdout_from: int | None = None,
    progress: Progress = silent,
) -> Trained:
    """telling: how long what is told stands. terminals: that the units are parts of; None: each unit is one. holdout_from: what is at or after it is only
    judged; otherwise the last fifth of the time. The model that is given back has then learnt from all of the panel: the latest failures are the
    ones most like the next.
    """
    share = 1.0 if terminals is None else len(np.unique(panel.unit)) / max(terminals, 1)
    if not enough(panel):
        rule = fallback(panel, settings.budget, telling)
        return Trained(rule, _card(panel, rule, settings, share, None, FIXED), None, panel.features.names)
    judged = _judged(panel, telling, settings, share, holdout_from, progress)
    hazard = fit(panel, settings, progress, telling).hazard
    matrix = hazard.encoding.matrix(panel.features)
    drift = Drift.learnt(panel.features.names, matrix, hazard.predict(panel.features))
    return Trained(hazard, _card(panel, hazard, settings, share, judged, METHOD), drift, panel.features.names)


def _judged(
    panel: Panel, telling: Telling, settings: Settings, share: float, since: int | None, progress: Progress
) -> dict[str, Any] | None:
    """share: units a terminal."""
    first, last = int(panel.at.min()), int(panel.at.max())
    moment = last - int((last - first) * HOLDOUT) if since is None else since
    earlier, later = panel.before(moment), panel.since(moment)
    if not enough(earlier) or not len(later):
        return None
    hazard = fit(earlier, settings, lambda what, done: progress(f"holdout: {what}", done), telling).hazard
    chance = hazard.predict(later.features)
    found = judge(chance, later, hazard.threshold.value, telling, seed=settings.seed)
    rule = fallback(earlier, settings.budget, telling)
    fixed = judge(rule.predict(later.features), later, rule.threshold.value, telling, seed=settings.seed)
    told = Told(chance, later, telling)
    return {
        "from": cards.when(moment),
        "to": cards.when(last),
        "rows": len(later),
        "units": len(np.unique(later.unit)),
        "failures": told.failures,
        "episodes": len(told.at_threshold(hazard.threshold.value).first),
        "measures": cards.measures(found, share),
        "fixed_rule": cards.measures(fixed, share),
    }


def _card(
    panel: Panel,
    model: Hazard | Fallback,
    settings: Settings,
    share: float,
    holdout: dict[str, Any] | None,
    method: str,
) -> dict[str, Any]:
    threshold = asdict(model.threshold)
    learnt = dict(model.learnt_from)
    return {
        "kind": "hazard" if isinstance(model, Hazard) else "fallback",
        "method": method,
        "horizon_days": panel.horizon / panel.day,
        "trained_on": learnt | {"from": cards.when(int(learnt["from"])), "to": cards.when(int(learnt["to"]))},
        "features": list(panel.features.names),
        "subjects": list(dict.fromkeys(panel.features.subjects)),
        "holdout": holdout,
        "alarm": {
            "budget": settings.budget,
            "budget_terminal": settings.budget * share,
            "counted": threshold["counted"],
            "threshold": threshold["value"],
            **{
                name: None if np.isnan(threshold[name]) else threshold[name]
                for name in ("false_alarms", "recall", "precision")
            },
        },
        "limits": list(LIMITS),
        "libraries": cards.libraries(),
        "settings": asdict(settings),
    }
