"""The store: the one meeting point of all processes. What a store does, and its two adapters."""
