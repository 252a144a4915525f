"""The maths of every objective as small pure functions of tensors.

Given the parameters, every loss is a mean of per-sample terms, so that the batch can be divided over processes and
micro-batches without changing its gradient.
"""

from typing import Literal

AdversarialLoss = Literal["cross_entropy", "hinge", "relativistic"]
"""Form of the adversarial loss; it is defined here so that the config can import it without torch."""
