"""cw-headctl, the operator's command: a thin client of the agent's Unix socket, and root's hand for its files."""
