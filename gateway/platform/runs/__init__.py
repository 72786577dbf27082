"""The record of each execution of a batch: how far it is, what it cost, and why it failed."""
