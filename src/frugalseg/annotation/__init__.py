"""People's answers: how they are simulated, stored and folded into partial labels. No torch."""
