"""Services: the live table of the head's units, healing, actions."""
