"""Ready scenarios; `medgossip list scenarios` shows them."""
