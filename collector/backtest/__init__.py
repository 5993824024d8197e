"""What a rule, a detector or a model would have raised in the past, against what happened then. Nothing here writes."""
