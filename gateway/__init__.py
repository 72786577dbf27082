"""Spark Gateway: one HTTP door to Apache Spark."""

__version__ = "0.1.0"
