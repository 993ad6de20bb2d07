"""The cases: what is timed or counted, one kind a file."""
