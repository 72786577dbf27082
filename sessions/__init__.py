"""Interactive sessions: statements, the drivers that run them, and how the two are kept together."""
