"""The models that the engine goes by, out of the folder that `tillwatch-collector train` writes. A model that is not there, or not to be used, is one
line in the log: the fixed rules of the tables stand in its place.
"""

from __future__ import annotations

import logging
from pathlib import Path

from tillwatch.collector.learn import model_file
from tillwatch.collector.learn.training import Trained
from tillwatch.collector.predict.engine import Models

log = logging.getLogger(__name__)

HAZARD = "hazard.skops"


def load_models(folder: Path) -> Models:
    """folder: need not be there."""
    return load_model(folder / HAZARD)


def load_model(path: Path) -> Models:
    """One file. It need not be there."""
    if not path.exists():
        return Models()
    try:
        trained = Trained.of(model_file.load(path))
        return Models(hazard=trained.model, drift=trained.drift)
    except (model_file.ModelFileError, OSError) as error:
        log.error("no model from %s: %s; the fixed rules stand in its place", path, error)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        log.error("no model from %s: %s %s; %s", path, type(error).__name__, error, model_file.RETRAIN)
    return Models()
