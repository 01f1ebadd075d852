"""Database: cleaning, backups, membership of the engine."""
