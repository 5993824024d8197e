"""Who comes in: the door before everything, signing in, and looks at what is masked elsewhere."""
