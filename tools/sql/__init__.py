"""Give the statements for Athena to a second grammar, in JavaScript: `make sql`."""
