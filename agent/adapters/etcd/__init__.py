"""The shared engine: etcd over its v3 JSON gateway, and the one that the agent runs."""
