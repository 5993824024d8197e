"""Who is told what by when: business time, rosters, the clocks of service levels, maintenance windows. Pure: no I/O, no clock."""
