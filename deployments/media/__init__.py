"""Images as engines of every modality read, process and write them."""
