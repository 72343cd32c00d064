"""What carries chunk records to workers; it decides nothing."""
