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
from tillwatch.collector.learn.fallback import RULE, Fallback, fallback
from tillwatch.collector.learn.hazard import MIN_FAILURES, Hazard, Progress, Settings, enough, failures, fit, silent
from tillwatch.collector.learn.holdout import judge
from tillwatch.collector.learn.model_file import ModelFile, ModelFileError
from tillwatch.collector.learn.panel import Panel

HOLDOUT = 0.2
"""Of the time, the last part: a fifth leaves enough failures on both sides of a year, and holds at least a season's turn of two years."""

METHOD = (
    "Gradient boosting as a discrete-time hazard: the probability that a unit that works now fails within the horizon, calibrated on units "
    "that it was not fitted on, with the threshold that the budget of false alarms leaves on them."
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
    settings: Settings = Settings(),  # noqa: B008  # frozen
    *,
    holdout_from: int | None = None,
    progress: Progress = silent,
) -> Trained:
    """holdout_from: what is at or after it is only judged; otherwise the last fifth of the time. The model that is given back has then learnt
    from all of the panel: the latest failures are the ones most like the next.
    """
    if not enough(panel):
        rule = fallback(panel, settings.budget)
        return Trained(rule, _card(panel, rule, settings, None, FIXED), None, panel.features.names)
    judged = _judged(panel, settings, holdout_from, progress)
    fitted = fit(panel, settings, progress)
    hazard = fitted.hazard
    matrix = hazard.encoding.matrix(panel.features)
    drift = Drift.learnt(panel.features.names, matrix, hazard.predict(panel.features))
    return Trained(hazard, _card(panel, hazard, settings, judged, METHOD), drift, panel.features.names)


def _judged(panel: Panel, settings: Settings, since: int | None, progress: Progress) -> dict[str, Any] | None:
    first, last = int(panel.at.min()), int(panel.at.max())
    moment = last - int((last - first) * HOLDOUT) if since is None else since
    earlier, later = panel.before(moment), panel.since(moment)
    if not enough(earlier) or not len(later):
        return None
    hazard = fit(earlier, settings, lambda what, share: progress(f"holdout: {what}", share)).hazard
    found = judge(hazard.predict(later.features), later, hazard.threshold.value, seed=settings.seed)
    return {
        "from": cards.when(moment),
        "to": cards.when(last),
        "rows": len(later),
        "units": len(np.unique(later.unit)),
        "failures": failures(later),
        "measures": cards.measures(found),
    }


def _card(
    panel: Panel, model: Hazard | Fallback, settings: Settings, holdout: dict[str, Any] | None, method: str
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
