"""The former name of the model gateway, which is started with `python -m gateway` now."""
