"""What every method shares: the loop, losses, schedules, statistics, prediction, checkpoints. No method is named here."""
