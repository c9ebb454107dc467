"""What clients fetch from a collector: open campaigns, the description of its API, the files of the SDK."""
