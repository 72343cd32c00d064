"""After it was sent: who was reached, where, and who was not."""
