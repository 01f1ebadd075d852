"""The composition root: builds every object once, in order, and takes them down in reverse."""

from agent.app.run import run

__all__ = ["run"]
