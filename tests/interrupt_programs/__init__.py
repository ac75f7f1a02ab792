"""Programs for interrupts at each line of the scheduler and the memory."""
