"""What answers first: on a web worker's event loop, before Flask and without a thread."""
