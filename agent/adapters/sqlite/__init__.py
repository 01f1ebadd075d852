"""The embedded database: one SQLite file, off the event loop through aiosqlite."""
