"""The ClusterWare head agent: supervises a head's services, its records and its file store."""

__version__ = "0.2.0"
