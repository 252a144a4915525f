"""The maths of every objective as small pure functions of tensors.

A loss keeps one law: it is a mean of per-sample terms, given the parameters, so that the batch may be
divided over processes and micro-batches without changing its gradient.
"""
