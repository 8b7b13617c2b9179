"""Null distributions, intervals and errors of what analyses measure. Needs no model."""
