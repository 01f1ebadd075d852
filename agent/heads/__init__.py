"""Heads: their records, who may act as one, who is in the cluster."""
