"""One folder per protocol; each is a translation of routes and shapes, nothing else."""
