"""While it is being sent: chunks to the bus, windows to the channels, outcomes to the counters."""
