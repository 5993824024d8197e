"""Surprise in streams: what is unusual for this very series, held as arrays over the fleet, in at most 2 kB a series.

`fleet` is the detector; `bitmap` remembers which values a series has had, `tail` turns sizes into probabilities, `baseline` holds what is
usual at an hour of the week. numpy and nothing else; no clock, no I/O.
"""
