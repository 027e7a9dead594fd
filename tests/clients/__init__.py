"""One fixture scope: the folder's server starts with its first test and ends with its last."""
