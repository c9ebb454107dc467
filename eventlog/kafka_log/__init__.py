"""The log on Apache Kafka: entries in, records out. Everything that knows kafka-python is here (decision 0010)."""
