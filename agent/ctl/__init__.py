"""cw-headctl, the operator's command."""
