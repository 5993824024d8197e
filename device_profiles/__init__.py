"""What exists: the closed catalogue of signal names, and one YAML file for each device family."""
