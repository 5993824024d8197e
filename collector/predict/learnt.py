"""The models that the engine goes by, out of the folder that `tillwatch-collector train` writes. A model that is not there, or not to be used, is one
line in the log: the fixed rules of the tables stand in its place.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from tillwatch.collector.learn import fallback, hazard, model_file
from tillwatch.collector.predict.engine import Models

log = logging.getLogger(__name__)

HAZARD = "hazard.skops"
_KINDS = {"hazard": hazard.Hazard.from_parts, "fallback": fallback.Fallback.from_parts}


def load_models(folder: Path) -> Models:
    """folder: need not be there."""
    return Models(hazard=_load(folder / HAZARD))


def _load(path: Path) -> Any:
    if not path.exists():
        return None
    try:
        file = model_file.load(path)
        return _KINDS[file.kind](file.parts)
    except (model_file.ModelFileError, OSError) as error:
        log.error("no model from %s: %s; the fixed rules stand in its place", path, error)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        log.error("no model from %s: %s %s; %s", path, type(error).__name__, error, model_file.RETRAIN)
    return None
