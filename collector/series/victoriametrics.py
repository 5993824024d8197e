"""VictoriaMetrics, which takes the same writes. It keeps numbers only, in whole milliseconds, and a sample that is written twice is one only under
-dedup.minScrapeInterval=1ms. It answers before what it took is on its disk: a killed one forgets the last seconds.
"""

from __future__ import annotations

import re

from tillwatch.collector.series.port import SinkDownError
from tillwatch.collector.series.settings import SinkSettings
from tillwatch.collector.series.v2_writes import V2Writes

SETTLES_S = 15.0
"""Versions of 2022 write out each second, later ones each five seconds (-inmemoryDataFlushInterval); with what the disk takes itself, thrice that."""
_STARTED = re.compile(r"^(?:vm_app_start_timestamp|process_start_time_seconds) (\S+)", re.MULTILINE)
_DEDUP = re.compile(r'^flag\{name="dedup\.minScrapeInterval", ?value="([^"]*)"', re.MULTILINE)
_METRICS = "/metrics"


class VictoriaMetrics(V2Writes):
    settles_s = SETTLES_S
    words = False

    def __init__(self, settings: SinkSettings) -> None:
        super().__init__(settings, settings.org, settings.bucket)

    def life(self) -> str:
        """When it was started. Behind a proxy that does not hand on /metrics nobody knows."""
        status, text = self.get(_METRICS)
        started = _STARTED.findall(text) if status == 200 else []
        return " ".join(started)

    def check(self) -> str:
        status, text = self.get(_METRICS)
        if status >= 500:
            raise SinkDownError(f"it answers {status} to {_METRICS}")
        kept = _DEDUP.search(text) if status == 200 else None
        if kept is not None and kept[1] != "1ms":
            return f"it runs with -dedup.minScrapeInterval={kept[1]}; with anything but 1ms what is written again counts twice, or readings are dropped"
        return ""


def connect(settings: SinkSettings) -> VictoriaMetrics:
    return VictoriaMetrics(settings)
