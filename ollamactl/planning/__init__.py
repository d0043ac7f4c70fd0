"""From what should be and what is to the steps between; pure decisions."""
