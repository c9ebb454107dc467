"""The version of this package, as sent with every event."""

VERSION = "0.1.0"
