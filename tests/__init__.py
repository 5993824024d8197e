"""A package, so that `python -m tests.benchmarks` means this one: the wheel of gmqtt brings a package `tests` of its own."""
