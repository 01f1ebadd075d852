"""The agent's diagnosis of its head: facts become findings, each with what to do next."""
