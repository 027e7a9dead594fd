"""The ledger of what loaded models take on their devices."""
