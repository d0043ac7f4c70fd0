"""Recovery of what hangs: systemd sees processes end, not stand still."""
