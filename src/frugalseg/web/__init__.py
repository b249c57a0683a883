"""The page on which people answer: a thin server over the store of answers. No torch."""
