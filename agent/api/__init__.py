"""The HTTP interface: one route table, access rules, the envelope."""
