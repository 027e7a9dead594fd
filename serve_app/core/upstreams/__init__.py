"""External AI services that models can live on, and what is known of them."""
