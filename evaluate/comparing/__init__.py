"""The comparison of variants: differences with their confidence intervals, and verdicts on them."""
