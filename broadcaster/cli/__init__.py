"""What a person or a script types: one verb per line of work."""
