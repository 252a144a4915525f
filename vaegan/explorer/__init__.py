"""The explorer: a page on which a person moves through the codes of one or two trained models."""
