"""Trained models, written for programs that do not know this package, with a card that says what they are."""
