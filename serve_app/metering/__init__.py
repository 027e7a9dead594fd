"""What tokens and users have used of models. Pure: no Ray."""
