"""Statements of a session: the code that its clients send, one after another."""
