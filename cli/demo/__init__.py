"""The wheel turning by itself: a simulated rater, the real HTTP interfaces, the Python SDK, and a report."""
