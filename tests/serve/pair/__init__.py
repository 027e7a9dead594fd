"""Two servers, of which the first has the second as a provider; they end before the shared one
starts.
"""
