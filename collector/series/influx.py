"""InfluxDB 2, and InfluxDB 3 by the v2 write endpoint that it has for the same clients. It answers when a write is in its write-ahead log; a point that is
written twice is one. In InfluxDB 3 the bucket is a database, and org says nothing.
"""

from __future__ import annotations

from tillwatch.collector.series.port import SinkDownError
from tillwatch.collector.series.settings import SinkSettings
from tillwatch.collector.series.v2_writes import V2Writes


class Influx(V2Writes):
    settles_s = 0.0
    words = True

    def __init__(self, settings: SinkSettings) -> None:
        # The client insists on some organisation; InfluxDB 3 passes over it.
        super().__init__(settings, settings.org or "-", settings.bucket)

    def life(self) -> str:
        return ""

    def check(self) -> str:
        status, text = self.get("/ping")
        if status not in (200, 204):
            raise SinkDownError(f"it answers {status} to /ping: {' '.join(text.split())[:100]}")
        return ""


def connect(settings: SinkSettings) -> Influx:
    return Influx(settings)
