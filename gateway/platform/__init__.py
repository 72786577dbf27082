"""What stands on sessions and batches and speaks no protocol of another program's: a folder each."""
