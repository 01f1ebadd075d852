"""`make run`: the agent doing its job, on this machine where systemd runs it, else in a throw-away head."""
