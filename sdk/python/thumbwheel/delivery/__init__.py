"""How events get to the collector: queue, spool on disk, requests, retries. In: events. Out: what became of them."""
