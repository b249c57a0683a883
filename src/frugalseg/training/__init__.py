"""What every method shares: loop, losses, schedules, statistics, prediction, checkpoints. No method is named here."""
