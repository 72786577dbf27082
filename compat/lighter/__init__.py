"""Exacaster Lighter on the wire."""
