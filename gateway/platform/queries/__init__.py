"""Questions of the gateway's own, put to Spark: SQL that reads, answered by a session that no user has."""
