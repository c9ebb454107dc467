"""Dataset in, adapter out: training, guards, registry, promotion gate, and the model gateway in `serving`.

The Hugging Face libraries read these once, when they are imported, so they are set before any of them: TRL and the hub
client report usage unless told not to, and a forked tokenizer warns on every batch.
"""

import os

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
