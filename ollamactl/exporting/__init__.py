"""The fleet as other programs want it told: a module for each program, text out, nothing read. Pure."""
