"""Drivers: a Spark application with a kernel in it each, and the claims that sessions have on them."""
