"""From records of the log to rows, in this order. Every step is pure; reading and writing lie in the runner.

Between `decode` and `forget` the runner loads what the store already holds of the interactions a batch touches.
"""

from processor.steps.decode import decode
from processor.steps.derive import derive
from processor.steps.fold import fold
from processor.steps.forget import forget

STEPS = (decode, forget, fold, derive)

__all__ = ["STEPS", "decode", "derive", "fold", "forget"]
