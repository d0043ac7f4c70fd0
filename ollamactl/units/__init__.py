"""What a fleet is on disk: unit files, variables, pins of cards; pure text."""
