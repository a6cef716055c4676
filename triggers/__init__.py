"""HTTP and timer triggers: thin; they validate, write the row, start an orchestrator by name."""
