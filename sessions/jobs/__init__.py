"""Jobs of a session, Livy's programmatic API: functions that run beside the statements, and what they need."""
