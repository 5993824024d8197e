"""Remote diagnosis: commands that people ask for, what became of them, and how they reach a terminal."""
