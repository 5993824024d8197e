"""The systems that incidents are told to, one a file."""
