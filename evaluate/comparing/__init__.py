"""What may be said of one variant against another, and how sure that is."""
