"""Images as engines of every modality read and write them."""
