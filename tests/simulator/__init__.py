"""A deterministic simulator of many heads: a virtual clock, one seeded source of chance, the product's own detector.

Only the network and the machines are models: TCP connections that lose packets, stall and break, heads that lose
power, stop, hang, or have their clock set. `python -m tests.simulator --help` runs it.
"""
