"""systemd as the UnitManager: over D-Bus, through pydbus."""
