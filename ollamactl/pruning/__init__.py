"""What of a model store nobody needs any more, and removing just that."""
