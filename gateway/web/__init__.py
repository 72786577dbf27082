"""The HTTP seams every protocol shares. Knows no protocol."""
