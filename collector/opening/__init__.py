"""Many open, one folds: processes that take sealed messages from the partitions of a broker, open them, and hand them in groups to the one collector
that folds. They keep nothing: a message is the broker's until the fold has stored it.
"""
