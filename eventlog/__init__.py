"""What an event is, and the log it is kept in. Imports nothing else of Thumbwheel."""
