"""What rows of the tests' own answer."""

from __future__ import annotations

from typing import Any

from agent.api.answers import Answers

ANYTHING = Answers(data=Any)
