"""What every feature stands on: settings, store, events, processes, Spark. Knows no feature and no protocol."""
