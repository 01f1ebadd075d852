"""Adapters: the outside world behind the ports; no library's exception leaves this room."""
