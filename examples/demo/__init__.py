"""The demo product: a shop's support chat and its agents' workbench, built on Thumbwheel as any customer would.

Its backend talks to the model gateway with the official `openai` client and to the collector with the Python SDK; its
pages load the JavaScript SDK from the collector. It imports nothing of Thumbwheel's services.

    python -m examples.demo
"""
