"""How a terminal gets its identity: by a token, or by the serial number of a machine that was made from an image; and how its keys are renewed."""
