"""Where drivers and batches run. `place` is what every place has to do; the other files are one place each."""
