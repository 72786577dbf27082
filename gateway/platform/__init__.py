"""The platform's own rooms, which stand on sessions and batches."""
