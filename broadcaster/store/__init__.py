"""The database is the truth: the only room that speaks SQL."""
