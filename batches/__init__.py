"""Batch submissions: one Spark application each, started in order, watched to its end."""
