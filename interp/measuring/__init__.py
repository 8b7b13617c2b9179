"""Analyses as the commands ask for them: with bars, and kept with the run."""
