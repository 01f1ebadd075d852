"""GET /metrics: the rooms, read at a scrape, as Prometheus takes them."""
