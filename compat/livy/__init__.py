"""Apache Livy on the wire."""
