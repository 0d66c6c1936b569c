"""What the checkout is worked with."""
