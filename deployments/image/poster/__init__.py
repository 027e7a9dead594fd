"""Images composed of a backdrop and symbols, without a trained model."""
